package dev.looplease.loop;

import dev.looplease.image.ImageStore;
import dev.looplease.journal.Journal;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.Losetups;
import dev.looplease.usage.DeviceUsers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;

/** An agent without its HTTP: the service on the real kernel, in directories of its own below {@code home}. */
final class Ground implements AutoCloseable {

    static final Duration GRACE = Duration.ofSeconds(10);

    final Losetup losetup;
    final ImageStore images;
    final Journal journal;
    final LoopService service;
    final Recovery.Report report;
    private final AtomicLong advance;
    private final Ticker ticker;
    private final String bootId;
    private final Clock clock;

    private Ground(
            Losetup losetup,
            ImageStore images,
            Journal journal,
            String bootId,
            Clock clock,
            Duration grace,
            LoopEvent.Listener events)
            throws IOException {
        this.losetup = losetup;
        this.images = images;
        this.journal = journal;
        this.bootId = bootId;
        this.clock = clock;
        this.advance = new AtomicLong();
        Ticker boottime = Ticker.boottime();
        this.ticker = () -> boottime.nanos() + advance.get();
        this.service = new LoopService(
                losetup,
                images,
                new DeviceUsers(),
                journal,
                bootId,
                new Limits(
                        1000,
                        OptionalLong.empty(),
                        OptionalLong.empty(),
                        Duration.ofHours(1),
                        Duration.ofSeconds(1),
                        Duration.ofHours(24),
                        false,
                        grace),
                ticker,
                clock,
                events);
        this.report = service.recover();
    }

    /** Starts an agent as it would be on the host's present boot. */
    static Ground start(Path home, Backend backend) throws IOException {
        return start(home, backend, "this-boot", Clock.systemUTC(), GRACE);
    }

    static Ground start(Path home, Backend backend, String bootId, Clock clock, Duration grace) throws IOException {
        return start(home, backend, bootId, clock, grace, event -> {});
    }

    static Ground start(
            Path home, Backend backend, String bootId, Clock clock, Duration grace, LoopEvent.Listener events)
            throws IOException {
        Files.createDirectories(root(home));
        return new Ground(
                Losetups.select(backend),
                new ImageStore(images(home), List.of(root(home))),
                Journal.open(home.resolve("journal")),
                bootId,
                clock,
                grace,
                events);
    }

    static Path images(Path home) {
        return home.resolve("images");
    }

    /** The image root beside the images directory. */
    static Path root(Path home) {
        return home.resolve("root");
    }

    /** Lets time pass, for the leases alone. */
    void advance(Duration by) {
        advance.addAndGet(by.toNanos());
    }

    /** What is on record now. */
    Records.Remains records() throws IOException {
        return new Records(journal, bootId, images.directoryId(), ticker, clock).read();
    }

    /** Stops, as an agent does that keeps what is lent. */
    @Override
    public void close() throws IOException {
        service.close(false);
        journal.close();
        images.close();
    }
}
