package dev.looplease.loop;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.image.Allocation;
import dev.looplease.image.ImageStore;
import dev.looplease.journal.Journal;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.FaultyLosetup;
import dev.looplease.losetup.Losetups;
import dev.looplease.usage.DeviceUsers;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.awaitility.core.ConditionFactory;
import org.awaitility.core.ThrowingRunnable;
import org.jspecify.annotations.Nullable;

/**
 * A whole agent without its HTTP, on the real kernel, whose time a test moves and whose loop driver it can break. Closing
 * it gives everything back, and fails if anything is left.
 */
final class Bench implements AutoCloseable {

    static final int MIB = 1 << 20;
    static final Caller OWNER = new Caller("tester", Caller.Role.USER, Quota.NONE, Caller.Sight.FULL);
    static final Duration GRACE = Duration.ofSeconds(10);
    private static final Duration STEP = Duration.ofMillis(500);

    static final Limits UNLIMITED = limits(10_000, OptionalLong.empty());

    final ManualTicker ticker = new ManualTicker();
    final MovableClock clock = new MovableClock();
    final FaultyLosetup losetup;
    final List<LoopEvent> events = new CopyOnWriteArrayList<>();
    private final AtomicReference<@Nullable Error> nextEventFails = new AtomicReference<>();
    final Path home;
    final Path images;
    private final Path state;
    private final Limits limits;
    private final Deque<Undo> undos = new ArrayDeque<>();
    private ImageStore store;
    private Journal journal;
    LoopService service;

    interface Undo {
        void run() throws IOException;
    }

    static Limits limits(int devices, OptionalLong totalBytes) {
        return new Limits(
                devices,
                OptionalLong.empty(),
                totalBytes,
                Duration.ofHours(1),
                Duration.ofSeconds(1),
                Duration.ofHours(24),
                false,
                GRACE);
    }

    Bench(Path home, Backend backend) throws IOException {
        this(home, backend, UNLIMITED);
    }

    Bench(Path home, Backend backend, Limits limits) throws IOException {
        this(home, home.resolve("images"), home.resolve("state"), backend, limits);
    }

    /** @param home around everything; also a root in which a client may name images */
    Bench(Path home, Path images, Path state, Backend backend, Limits limits) throws IOException {
        this.home = home.toRealPath();
        this.images = Files.createDirectories(images).toRealPath();
        this.state = Files.createDirectories(state).toRealPath();
        this.limits = limits;
        this.losetup = new FaultyLosetup(Losetups.select(backend));
        start();
        service.recover();
    }

    private void start() throws IOException {
        store = new ImageStore(images, List.of(home));
        journal = Journal.open(state.resolve("journal"));
        service = new LoopService(
                losetup,
                store,
                new DeviceUsers(),
                journal,
                Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip(),
                limits,
                ticker,
                clock,
                this::happened);
    }

    private void happened(LoopEvent event) {
        Error error = nextEventFails.getAndSet(null);
        if (error != null) {
            throw error;
        }
        events.add(event);
    }

    /** Stands for whatever the agent may lack in the midst of something: memory, a thread, a class. */
    void failNextEvent(Error error) {
        nextEventFails.set(error);
    }

    /** The agent goes, as by a normal stop that keeps everything, and another one takes over. */
    Recovery.Report restart() throws IOException {
        return restart(() -> {});
    }

    Recovery.Report restart(Undo between) throws IOException {
        stop();
        between.run();
        start();
        return service.recover();
    }

    /** Ends without giving anything back. */
    void stop() throws IOException {
        service.close(false);
        journal.close();
        store.close();
    }

    Journal journal() {
        return journal;
    }

    /** Does something when the test is over, the last first. */
    void afterwards(Undo undo) {
        undos.push(undo);
    }

    static ConditionFactory soon() {
        return await().atMost(Duration.ofSeconds(20)).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(5));
    }

    /** Time goes on, and the reaper looks as often as it would; its own thread may do so too. */
    void advance(Duration by) {
        Duration left = by;
        while (left.isPositive()) {
            Duration step = left.compareTo(STEP) < 0 ? left : STEP;
            ticker.advance(step);
            service.reap();
            left = left.minus(step);
        }
    }

    /** Lets time go on until something is so. */
    void inTime(ThrowingRunnable assertion) {
        soon().untilAsserted(() -> {
            advance(STEP);
            assertion.run();
        });
    }

    // What a client does

    static LoopSpec spec(long sizeBytes) {
        return spec(sizeBytes, null, Allocation.SPARSE);
    }

    static LoopSpec spec(long sizeBytes, @Nullable Path imagePath, Allocation allocation) {
        return new LoopSpec(
                OptionalLong.of(sizeBytes),
                OptionalInt.empty(),
                imagePath,
                false,
                false,
                allocation,
                0,
                0,
                512,
                false,
                false,
                DirectIo.OFF,
                Map.of());
    }

    /** A file of somebody's, attached as it is. */
    static LoopSpec reuse(Path file, boolean readOnly) {
        return new LoopSpec(
                OptionalLong.empty(),
                OptionalInt.empty(),
                file,
                false,
                true,
                Allocation.SPARSE,
                0,
                0,
                512,
                readOnly,
                false,
                DirectIo.OFF,
                Map.of());
    }

    static LeaseTerms terms(long ttlSeconds) {
        return terms(ttlSeconds, OnExpiry.UNMOUNT);
    }

    static LeaseTerms terms(long ttlSeconds, OnExpiry onExpiry) {
        return new LeaseTerms(OptionalLong.of(ttlSeconds), OptionalLong.empty(), false, onExpiry, Map.of());
    }

    LoopSnapshot create() {
        return create(spec(MIB), terms(60));
    }

    LoopSnapshot create(LoopSpec spec, LeaseTerms terms) {
        return service.create(spec, new LeaseChoice.Own(terms), OWNER, null).value();
    }

    LoopSnapshot create(String leaseId) {
        return service.create(spec(MIB), new LeaseChoice.Existing(leaseId), OWNER, null)
                .value();
    }

    LeaseSnapshot lease(long ttlSeconds) {
        return service.createLease(terms(ttlSeconds), List.of(), OWNER, null)
                .value()
                .lease();
    }

    LoopService.Group createGroup(int devices) {
        return service.createLease(terms(3600), Collections.nCopies(devices, spec(MIB)), OWNER, null)
                .value();
    }

    static DeviceRef ref(LoopSnapshot device) {
        return new DeviceRef.Id(device.requiredId());
    }

    LoopSnapshot get(LoopSnapshot device) {
        return service.get(ref(device), OWNER);
    }

    LoopService.Release delete(LoopSnapshot device) {
        return service.delete(ref(device), new Precondition.None(), false, OWNER);
    }

    LoopService.Release force(LoopSnapshot device) {
        return service.delete(ref(device), new Precondition.None(), true, OWNER);
    }

    /** Deletes a device that nobody uses; but whoever lists all devices of the host may be looking at it right now. */
    void deleted(LoopSnapshot device) {
        soon().ignoreExceptionsMatching(LoopException.DeviceBusy.class::isInstance)
                .until(() -> {
                    try {
                        return delete(device) instanceof LoopService.Release.Done;
                    } catch (LoopException.Ended e) {
                        return true;
                    }
                });
    }

    LoopSnapshot detach(LoopSnapshot device) {
        return service.detach(ref(device), new Precondition.None(), OWNER);
    }

    /** Detaches a device that nobody uses, with the patience of {@link #deleted}. */
    void detached(LoopSnapshot device) {
        soon().ignoreExceptionsMatching(LoopException.DeviceBusy.class::isInstance)
                .until(() -> detach(device).observed().isEmpty());
    }

    LoopSnapshot attach(LoopSnapshot device) {
        return service.attach(ref(device), new Precondition.None(), OWNER);
    }

    LoopSnapshot resize(LoopSnapshot device, long bytes) {
        return patch(
                device,
                new LoopPatch(
                        OptionalLong.of(bytes),
                        false,
                        Optional.empty(),
                        OptionalInt.empty(),
                        Optional.empty(),
                        Optional.empty()));
    }

    LoopSnapshot setSectorSize(LoopSnapshot device, int bytes) {
        return patch(
                device,
                new LoopPatch(
                        OptionalLong.empty(),
                        false,
                        Optional.empty(),
                        OptionalInt.of(bytes),
                        Optional.empty(),
                        Optional.empty()));
    }

    LoopSnapshot move(LoopSnapshot device, String leaseId) {
        return patch(
                device,
                new LoopPatch(
                        OptionalLong.empty(),
                        false,
                        Optional.empty(),
                        OptionalInt.empty(),
                        Optional.empty(),
                        Optional.of(leaseId)));
    }

    private LoopSnapshot patch(LoopSnapshot device, LoopPatch patch) {
        return service.patch(ref(device), new Precondition.None(), patch, OWNER);
    }

    LeaseSnapshot renew(String leaseId) {
        return renew(leaseId, OptionalLong.empty());
    }

    LeaseSnapshot renew(String leaseId, OptionalLong ttlSeconds) {
        return service.renew(leaseId, new Precondition.None(), ttlSeconds, OWNER);
    }

    LeaseSnapshot getLease(String leaseId) {
        return service.lease(leaseId, OWNER);
    }

    List<LeaseSnapshot> leases() {
        return service.leases(OWNER);
    }

    boolean endLease(String leaseId) {
        return service.endLease(leaseId, new Precondition.None(), OWNER);
    }

    /** How a device stands; empty when it is no more. */
    Optional<LoopState> state(LoopSnapshot device) {
        try {
            return Optional.of(get(device).managed().orElseThrow().state());
        } catch (LoopException.Ended e) {
            return Optional.empty();
        }
    }

    EndReason endReason(LoopSnapshot device) {
        try {
            throw new AssertionError("it has not ended: " + get(device));
        } catch (LoopException.Ended e) {
            return e.reason();
        }
    }

    static String name(LoopSnapshot device) {
        return device.observed().orElseThrow().name();
    }

    static String node(LoopSnapshot device) {
        return "/dev/" + name(device);
    }

    static Path image(LoopSnapshot device) {
        return Path.of(String.valueOf(device.managed().orElseThrow().image()));
    }

    // What the kernel has, seen in sysfs by the test itself

    /** Number and file of every loop device whose image lies below a directory. */
    static List<String> boundBelow(Path directory) {
        List<String> found = new ArrayList<>();
        try (DirectoryStream<Path> devices = Files.newDirectoryStream(Path.of("/sys/block"), "loop*")) {
            for (Path device : devices) {
                Path backing = device.resolve("loop/backing_file");
                if (Files.exists(backing)) {
                    read(backing)
                            .filter(file -> file.startsWith(directory + "/"))
                            .ifPresent(file -> found.add(device.getFileName() + " " + file));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Collections.sort(found);
        return found;
    }

    static Optional<String> read(Path file) {
        try {
            return Optional.of(Files.readString(file).strip());
        } catch (IOException goneMeanwhile) {
            return Optional.empty();
        }
    }

    List<String> bound() {
        return boundBelow(home);
    }

    List<Path> imageFiles() {
        try (Stream<Path> files = Files.list(images)) {
            return files.filter(file -> file.toString().endsWith(".img"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static String run(String... command) {
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
            assertThat(process.waitFor())
                    .as("%s: %s", String.join(" ", command), output)
                    .isZero();
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Makes an ext4 on a device and mounts it. */
    Path mounted(LoopSnapshot device) throws IOException {
        run("mkfs.ext4", "-q", "-F", node(device));
        Path point = Files.createDirectories(home.resolve("mnt-" + device.requiredId()));
        run("mount", node(device), point.toString());
        afterwards(() -> unmount(point));
        return point;
    }

    static boolean isMounted(Path point) {
        return read(Path.of("/proc/self/mountinfo")).orElseThrow().contains(" " + point + " ");
    }

    static void unmount(Path point) {
        soon().untilAsserted(() -> {
            // The agent may be at it too.
            if (isMounted(point)) {
                run("umount", point.toString());
            }
        });
    }

    Process start(String... command) throws IOException {
        Process process = new ProcessBuilder(command).directory(home.toFile()).start();
        afterwards(() -> end(process));
        return process;
    }

    static void end(Process process) {
        process.destroyForcibly();
        process.onExit().join();
    }

    /** A process that has a file open. */
    Process opener(Path file) throws IOException {
        Process opener = start("sh", "-c", "exec <" + file + "; echo ready; exec sleep 600");
        assertThat(opener.inputReader().readLine()).isEqualTo("ready");
        return opener;
    }

    /** A file of somebody else, attached to that number, or to any. */
    String foreign(Path file, OptionalInt number) throws IOException {
        String name = number.isPresent() ? attachForeign(file, number.getAsInt()) : attachForeign(file);
        afterwards(() -> detachForeign(name, file));
        return name;
    }

    /** Somebody else's mount that has a device's name for its source. */
    Path foreignMount(String type, String source) throws IOException {
        Path point = Files.createDirectories(home.resolve("foreign-" + type));
        run("mount", "-t", type, source, point.toString());
        afterwards(() -> unmount(point));
        return point;
    }

    /** Somebody else's loop device on a regular file that is called like our node, in a /dev that only they see. */
    String foreignBehindItsOwnDev(LoopSnapshot device) throws IOException {
        Path dev = Files.createDirectories(home.resolve("their-dev"));
        Process dweller =
                start("unshare", "--mount", "--propagation", "private", "sh", "-c", """
                mount -t tmpfs theirs $0 && cp -a /dev/null /dev/loop[0-9]* /dev/loop-control $0 && rm $0/$1 &&
                truncate --size 1M $0/$1 && mount --bind $0 /dev &&
                until losetup --find --show /dev/$1 2>/dev/null; do sleep 0.1; done
                exec sleep 600 >/dev/null""", dev.toString(), name(device));
        String name = String.valueOf(dweller.inputReader().readLine()).substring("/dev/".length());
        afterwards(() -> detachForeign(name, Path.of(node(device))));
        return name;
    }

    private static String attachForeign(Path file, int number) {
        run("losetup", "/dev/loop" + number, file.toString());
        return "loop" + number;
    }

    static String attachForeign(Path file) {
        return soon().ignoreExceptions()
                .until(() -> run("losetup", "--find", "--show", file.toString()), node -> node.startsWith("/dev/"))
                .substring("/dev/".length());
    }

    static void detachForeign(String name, Path file) {
        boolean ours = read(Path.of("/sys/block", name, "loop/backing_file"))
                .filter(backing -> backing.replace(" (deleted)", "").equals(file.toString()))
                .isPresent();
        if (ours) {
            run("losetup", "--detach", "/dev/" + name);
        }
    }

    /** Gives every device back, in time, and fails if anything is left. */
    void giveEverythingBack() {
        losetup.heal();
        inTime(() -> {
            for (LoopSnapshot device : managed()) {
                try {
                    force(device);
                } catch (LoopException notNow) {
                    // Once more in the next round.
                }
            }
            assertThat(managed()).isEmpty();
            for (LeaseSnapshot lease : leases()) {
                try {
                    endLease(lease.id());
                } catch (LoopException.Ended alreadyGone) {
                    // So much the better.
                }
            }
            assertThat(leases()).isEmpty();
            assertThat(service.usage()).isEqualTo(new LoopRegistry.Usage(0, 0));
            assertThat(boundBelow(images)).isEmpty();
            assertThat(imageFiles()).isEmpty();
        });
    }

    List<LoopSnapshot> managed() {
        return service.list(
                        new DeviceFilter(true, null, null, List.of()), Slice.Place.START, Integer.MAX_VALUE - 1, OWNER)
                .items();
    }

    /** Does now what was to be done afterwards. */
    void undo() throws IOException {
        IOException failure = new IOException("Cleaning up after the test failed.");
        while (!undos.isEmpty()) {
            try {
                undos.pop().run();
            } catch (IOException | RuntimeException | AssertionError e) {
                failure.addSuppressed(e);
            }
        }
        if (failure.getSuppressed().length > 0) {
            throw failure;
        }
    }

    @Override
    public void close() throws IOException {
        try {
            undo();
        } finally {
            try {
                giveEverythingBack();
            } finally {
                stop();
            }
        }
    }
}
