package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.image.ImageStore;
import dev.looplease.journal.Journal;
import dev.looplease.losetup.Attachment;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.posix.DeviceNumber;
import dev.looplease.usage.DeviceUsers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When a device that could not be released is tried again, in the agent's own time. */
class ReleaserTest {

    private static final LoopIdentity ATTACHMENT = new LoopIdentity(1_048_575, 4711, new DeviceNumber(8, 1), 12);

    @TempDir
    private Path home;

    private final ManualTicker ticker = new ManualTicker();
    private final Agenda agenda = new Agenda();
    private final List<LoopEvent> events = new ArrayList<>();
    private final Kernel kernel = new Kernel();
    private ImageStore images;
    private Journal journal;
    private Records records;
    private LoopRegistry registry;
    private Releaser releaser;

    /** A kernel with one attachment, which stays as long as somebody has it open. */
    private static final class Kernel implements Losetup {

        private boolean bound = true;
        private @Nullable RuntimeException failure;
        private @Nullable Error error;

        @Override
        public String backend() {
            return "fake";
        }

        @Override
        public LoopDevice attach(Attachment wanted) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Optional<LoopDevice> inspect(int number) {
            return Optional.empty();
        }

        @Override
        public List<Integer> numbers() {
            return List.of();
        }

        @Override
        public List<LoopDevice> list(List<Integer> numbers) {
            return List.of();
        }

        @Override
        public List<String> unlistedImages(List<LoopDevice> listed) {
            return List.of();
        }

        @Override
        public Optional<LoopHandle> open(LoopIdentity identity) {
            return Optional.empty();
        }

        @Override
        public boolean isBound(LoopIdentity identity) {
            if (failure != null) {
                throw failure;
            }
            if (error != null) {
                throw error;
            }
            return bound;
        }
    }

    @BeforeEach
    void start() throws IOException {
        images = new ImageStore(Files.createDirectory(home.resolve("images")), List.of());
        journal = Journal.open(home.resolve("journal"));
        records = new Records(journal, "this-boot", "this-agent", ticker, Clock.systemUTC());
        registry = new LoopRegistry(Bench.UNLIMITED, ticker, agenda, records, new RequestKeys());
        Teardown teardown = new Teardown(kernel, images, new DeviceUsers(), records);
        releaser = new Releaser(registry, teardown, ticker, agenda, events::add);
    }

    @AfterEach
    void stop() throws IOException {
        releaser.close();
        journal.close();
        images.close();
    }

    private ManagedLoop marked() {
        Lease lease = new Lease(
                new Lease.Terms(Ids.next(), "tester", Map.of(), OnExpiry.DETACH, null, Instant.EPOCH, true, null),
                Lease.Times.notStarted(null),
                records);
        registry.add(lease, Quota.NONE);
        ManagedLoop loop = ManagedLoop.wanted(Bench.spec(Bench.MIB), lease, Instant.EPOCH, null);
        registry.reserve(List.of(loop), Quota.NONE);
        lease.join(loop.id());
        registry.change(loop, now -> now.withAttachment(ATTACHMENT).with(LoopState.READY));
        releaser.mark(loop, EndReason.DELETED, OnExpiry.UNMOUNT);
        return loop;
    }

    private Duration pauseAfterARelease(ManagedLoop loop) {
        assertThat(releaser.release(loop)).isFalse();
        long pause = agenda.next() - ticker.nanos();
        agenda.takeDue(Lease.NEVER - 1);
        return Duration.ofNanos(pause);
    }

    private long stuck() {
        return events.stream()
                .filter(event -> event.type() == LoopEvent.Type.DEVICE_STUCK)
                .count();
    }

    @Test
    void retriesWithBackOffAndOnceAMinuteWhenItIsStuck() {
        ManagedLoop loop = marked();
        kernel.failure = new UncheckedIOException(new IOException("the fault"));
        for (int failures = 1; failures < Releaser.TRIES; failures++) {
            long middle = 100L << (failures - 1);
            assertThat(pauseAfterARelease(loop).toMillis())
                    .as("after %d failures", failures)
                    .isBetween(middle * 3 / 4, middle * 5 / 4);
            assertThat(stuck()).isZero();
        }
        for (int more = 0; more < 3; more++) {
            assertThat(pauseAfterARelease(loop)).isEqualTo(Duration.ofMinutes(1));
            assertThat(loop.standing().state()).isEqualTo(LoopState.STUCK);
        }
        assertThat(stuck()).isEqualTo(1);
    }

    /** Devices that failed together do not come back together. */
    @Test
    void retriesWithJitter() {
        kernel.failure = new UncheckedIOException(new IOException("the fault"));
        Set<Duration> pauses = new HashSet<>();
        for (int device = 0; device < 10; device++) {
            pauses.add(pauseAfterARelease(marked()));
        }
        assertThat(pauses).hasSizeGreaterThan(5);
    }

    /** However long it took: an hour of vain attempts to free it must not make the next look a late one. */
    @Test
    void endsWithinASecondOfTheLastClose() {
        ManagedLoop loop = marked();
        long waitUntil = ticker.nanos() + Duration.ofHours(1).toNanos();
        Duration pause = pauseAfterARelease(loop);
        while (ticker.nanos() < waitUntil) {
            assertThat(pause).isLessThan(Duration.ofSeconds(1));
            ticker.advance(pause);
            pause = pauseAfterARelease(loop);
        }
        // Right after a look.
        kernel.bound = false;
        assertThat(pause).isLessThan(Duration.ofSeconds(1));
        ticker.advance(pause);
        assertThat(releaser.release(loop)).isTrue();
        assertThat(registry.loop(loop.id())).isEmpty();
    }

    /** The fault guarded: eight failures in hours of waiting, each gone by itself, made it STUCK. */
    @Test
    void forgetsFailuresWhenItOnlyWaits() {
        ManagedLoop loop = marked();
        for (int i = 0; i < 2 * Releaser.TRIES; i++) {
            kernel.failure = new UncheckedIOException(new IOException("the fault"));
            assertThat(pauseAfterARelease(loop)).isLessThan(Duration.ofMillis(126));
            kernel.failure = null;
            pauseAfterARelease(loop);
        }
        assertThat(loop.standing().state()).isEqualTo(LoopState.RELEASING);
        assertThat(stuck()).isZero();
    }

    /** The fault guarded: after an Error nobody came back to the device. */
    @Test
    void isTriedAgainAfterAnError() {
        ManagedLoop loop = marked();
        kernel.error = new NoClassDefFoundError("deleted under us");
        assertThat(pauseAfterARelease(loop)).isLessThan(Duration.ofSeconds(1));

        kernel.error = null;
        kernel.bound = false;
        assertThat(releaser.release(loop)).isTrue();
    }
}
