package dev.looplease.loop;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.looplease.KernelTest;
import dev.looplease.image.Allocation;
import dev.looplease.journal.Durability;
import dev.looplease.losetup.Backend;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The disk is full, or fails, at each write of the journal and of an image: a clear refusal, and nothing is left. */
@KernelTest
class DiskFaultTest {

    /** {@code _IOR('X', 125, __u32)}, fs/ext4/ext4.h. */
    private static final long EXT4_IOC_SHUTDOWN = 0x8004587DL;
    /** What is in its own journal reaches the disk, and nothing after that. */
    private static final int EXT4_GOING_FLAGS_LOGFLUSH = 1;
    /** Everything that is not on the disk yet is lost, the filesystem's own journal too: a power cut. */
    private static final int EXT4_GOING_FLAGS_NOLOGFLUSH = 2;

    private static final int PAGE = 4096;
    /** More than all that one act records. */
    private static final int MOST_RECORDED = 2 * PAGE;
    /** Less than any record. */
    private static final int BUDGET_STEP = 250;

    @TempDir
    private Path temp;

    private Path home;
    private final Deque<Path> mounts = new ArrayDeque<>();
    private final Map<Path, String> devices = new HashMap<>();
    private final Deque<Runnable> detaches = new ArrayDeque<>();

    @BeforeEach
    void makeHome() throws IOException {
        home = Files.createDirectory(temp.toRealPath().resolve("home"));
    }

    @AfterEach
    void unmount() {
        while (!mounts.isEmpty()) {
            Bench.run("umount", mounts.pop().toString());
        }
        while (!detaches.isEmpty()) {
            detaches.pop().run();
        }
    }

    private Path tmpfs(String name, String size) throws IOException {
        Path at = Files.createDirectories(home.resolve(name));
        Bench.run("mount", "-t", "tmpfs", "-o", "mode=700,size=" + size, "tmpfs", at.toString());
        mounts.push(at);
        return at;
    }

    private Path ext4(String name, long bytes) throws IOException {
        Path at = Files.createDirectories(home.resolve(name));
        Path image = temp.toRealPath().resolve(name + ".ext4");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(bytes);
        }
        Bench.run("mkfs.ext4", "-q", image.toString());
        String device = Bench.attachForeign(image);
        detaches.push(() -> Bench.detachForeign(device, image));
        devices.put(at, device);
        mountAgain(at);
        mounts.push(at);
        return at;
    }

    /** From the same device as before: its number is part of what a file is known by. */
    private void mountAgain(Path at) {
        Bench.run("mount", "/dev/" + devices.get(at), at.toString());
    }

    private static Path fill(Path filesystem) throws IOException {
        Path filler = filesystem.resolve("filler");
        byte[] page = new byte[PAGE];
        try (OutputStream out = Files.newOutputStream(filler)) {
            while (true) {
                out.write(page);
            }
        } catch (IOException full) {
            assertThat(full).hasMessageContaining("No space left");
        }
        return filler;
    }

    /** From now on whatever is written there fails with EIO. */
    private static void fail(Path ext4) {
        shutDown(ext4, EXT4_GOING_FLAGS_LOGFLUSH);
    }

    private static void shutDown(Path ext4, int how) {
        try (Fd fd = Posix.open(ext4, Posix.O_RDONLY | Posix.O_DIRECTORY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment flags = arena.allocateFrom(ValueLayout.JAVA_INT, how);
            Posix.ioctl(fd, "EXT4_IOC_SHUTDOWN", EXT4_IOC_SHUTDOWN, flags);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // A full disk below the images

    @Test
    void aFullImageThatDoesNotFitLeavesNothing() throws IOException {
        Path images = tmpfs("images", "2m");
        try (Bench bench = new Bench(home, images, home.resolve("state"), Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot fits = bench.create(Bench.spec(Bench.MIB, null, Allocation.FULL), Bench.terms(60));
            for (int i = 0; i < 3; i++) {
                assertThatThrownBy(
                                () -> bench.create(Bench.spec(2 * Bench.MIB, null, Allocation.FULL), Bench.terms(60)))
                        .isInstanceOf(LoopException.InsufficientStorage.class);
                assertThat(bench.imageFiles()).containsExactly(Bench.image(fits));
                assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(1, Bench.MIB));
                assertThat(bench.leases()).hasSize(1);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void onADiskThatIsFullAlreadyNothingIsLeft(Allocation allocation) throws IOException {
        // A sparse image needs no block there, but an inode: one is the directory's, one the filler's.
        Path images = tmpfs("images", "1m,nr_inodes=2");
        try (Bench bench = new Bench(home, images, home.resolve("state"), Backend.IOCTL, Bench.UNLIMITED)) {
            fill(images);

            assertThatThrownBy(() -> bench.create(Bench.spec(Bench.MIB, null, allocation), Bench.terms(60)))
                    .isInstanceOf(LoopException.InsufficientStorage.class);

            assertThat(bench.imageFiles()).isEmpty();
            assertThat(bench.bound()).isEmpty();
            assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(0, 0));
            assertThat(bench.leases()).isEmpty();
        }
    }

    @Test
    void growingAFullImageBeyondTheDiskChangesNothing() throws IOException {
        Path images = tmpfs("images", "2m");
        try (Bench bench = new Bench(home, images, home.resolve("state"), Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot device = bench.create(Bench.spec(Bench.MIB, null, Allocation.FULL), Bench.terms(60));

            assertThatThrownBy(() -> bench.resize(device, 4 * Bench.MIB))
                    .isInstanceOf(LoopException.InsufficientStorage.class);

            assertThat(bench.get(device).observed().orElseThrow().sizeBytes()).isEqualTo(Bench.MIB);
            assertThat(Bench.image(device)).hasSize(Bench.MIB);
            assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(1, Bench.MIB));
            assertThat(bench.get(device).etag()).isEqualTo(device.etag());
        }
    }

    // A full disk below the journal

    /** What a client does while there is room for so many bytes of records, and no more. */
    enum Act {
        CREATE {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.create();
            }
        },
        CREATE_FULL {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.create(Bench.spec(Bench.MIB, null, Allocation.FULL), Bench.terms(60));
            }
        },
        CREATE_ELSEWHERE {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.create(
                        Bench.spec(Bench.MIB, bench.home.resolve("elsewhere.raw"), Allocation.SPARSE), Bench.terms(60));
            }
        },
        CREATE_GROUP {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                LoopSpec spec = Bench.spec(Bench.MIB);
                bench.service.createLease(Bench.terms(60), List.of(spec, spec), Bench.OWNER, null);
            }
        },
        GROW {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.resize(device, 2 * Bench.MIB);
            }
        },
        MOVE {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.move(device, lease);
            }
        },
        DETACH_AND_ATTACH {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.detach(device);
                bench.attach(device);
            }
        },
        /** Giving back and renewing must work however full the disk is. */
        RENEW(true) {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.advance(Duration.ofSeconds(50));
                assertThat(bench.renew(lease).remaining()).isEqualTo(Duration.ofSeconds(60));
                bench.renew(device.managed().orElseThrow().lease().id());
                bench.advance(Duration.ofSeconds(59));
                assertThat(bench.state(device)).contains(LoopState.READY);
            }
        },
        DELETE(true) {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.deleted(device);
            }
        },
        FORCE(true) {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.force(device);
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            }
        },
        END_LEASE(true) {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                assertThat(bench.endLease(device.managed().orElseThrow().lease().id()))
                        .isTrue();
            }
        },
        EXPIRE(true) {
            @Override
            void on(Bench bench, LoopSnapshot device, String lease) {
                bench.advance(Duration.ofSeconds(61));
                bench.inTime(() -> assertThat(bench.managed()).isEmpty());
            }
        };

        /** Whether it works on a full disk too. */
        final boolean always;

        Act() {
            this(false);
        }

        Act(boolean always) {
            this.always = always;
        }

        abstract void on(Bench bench, LoopSnapshot device, String lease);
    }

    /**
     * The faults guarded: a resize that could not be recorded kept the room that it had taken; a DELETE was refused on the
     * full disk that it would have made room on.
     */
    @ParameterizedTest
    @EnumSource
    void theJournalIsFullAtEachOfItsWrites(Act act) throws IOException {
        boolean refused = false;
        boolean done = false;
        for (int budget = 0; budget < MOST_RECORDED && !done; budget += BUDGET_STEP) {
            done = succeedsWith(budget, act);
            refused |= !done;
            if (act.always) {
                assertThat(done).as("%s with room for %s bytes", act, budget).isTrue();
            }
        }
        assertThat(done).as("%s with room for %s bytes", act, MOST_RECORDED).isTrue();
        assertThat(refused).isNotEqualTo(act.always);
    }

    private boolean succeedsWith(int budget, Act act) throws IOException {
        Path state = tmpfs("state", "1m");
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot device = bench.create();
            String lease = bench.lease(60).id();
            List<String> bound = bench.bound();
            leaveRoomFor(budget, bench, state);
            assertThat(budget > 0 || !pad(bench, 250)).as("it is full").isTrue();
            boolean done = true;
            try {
                act.on(bench, device, lease);
            } catch (LoopException refused) {
                done = false;
                assertThat(refused)
                        .as("with room for %s bytes", budget)
                        .isInstanceOfSatisfying(
                                LoopException.InsufficientStorage.class,
                                // The fault: the image's filesystem was named, and a field that could have been
                                // smaller.
                                full -> assertThat(full.field()).isEmpty())
                        .hasMessageContaining("looplease.state-dir");
                assertNothingChanged(bench, act, device, bound);
            }
            Files.delete(state.resolve("filler"));
            bench.restart();
            assertThat(bench.bound()).hasSize((int) bench.managed().stream()
                    .filter(managed -> managed.observed().isPresent())
                    .count());
            return done;
        } finally {
            unmount();
        }
    }

    private static void assertNothingChanged(Bench bench, Act act, LoopSnapshot device, List<String> bound) {
        LoopSnapshot now = bench.get(device);
        assertThat(bench.managed()).hasSize(1);
        assertThat(bench.imageFiles()).hasSize(1);
        assertThat(bench.home.resolve("elsewhere.raw")).doesNotExist();
        assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(1, Bench.MIB));
        assertThat(bench.leases()).hasSize(2);
        assertThat(Bench.image(device)).hasSize(Bench.MIB);
        if (act != Act.DETACH_AND_ATTACH) {
            assertThat(bench.bound()).isEqualTo(bound);
            assertThat(now.observed().orElseThrow().sizeBytes()).isEqualTo(Bench.MIB);
            assertThat(now.managed().orElseThrow().lease().id())
                    .isEqualTo(device.managed().orElseThrow().lease().id());
        } else {
            assertThat(bench.bound()).isEmpty();
            assertThat(now.managed().orElseThrow().state()).isEqualTo(LoopState.DETACHED);
        }
    }

    /** Fills the disk, and then the journal itself, so that about that many bytes of records still fit. */
    private static void leaveRoomFor(int budget, Bench bench, Path state) throws IOException {
        Path filler = fill(state);
        useUp(bench);
        int pages = budget / PAGE + 1;
        try (RandomAccessFile file = new RandomAccessFile(filler.toFile(), "rw")) {
            file.setLength(file.length() - (long) pages * PAGE);
        }
        pad(bench, pages * PAGE - budget);
        // Whatever of the pages is not the journal's by now is filled again.
        fillTheRest(state);
    }

    private static void fillTheRest(Path state) {
        try (OutputStream out = Files.newOutputStream(state.resolve("filler"), StandardOpenOption.APPEND)) {
            while (true) {
                out.write(new byte[PAGE]);
            }
        } catch (IOException full) {
            assertThat(full).hasMessageContaining("No space left");
        }
    }

    private static void useUp(Bench bench) {
        for (int size = 2048; size > 0; size /= 2) {
            while (pad(bench, size)) {
                // Once more.
            }
        }
    }

    /** Appends something that recovery passes over. */
    private static boolean pad(Bench bench, int bytes) {
        try {
            bench.journal().put("aside/pad", "x".repeat(bytes).getBytes(US_ASCII), Durability.MEMORY);
            return true;
        } catch (IOException full) {
            return false;
        }
    }

    // A disk that fails

    /** One write fails, or that one and all that come after it. */
    enum Fault {
        EIO_ONCE(Errno.EIO, false),
        EIO_FOR_GOOD(Errno.EIO, true),
        ENOSPC_ONCE(Errno.ENOSPC, false),
        ENOSPC_FOR_GOOD(Errno.ENOSPC, true);

        private final int errno;
        private final boolean forGood;

        Fault(int errno, boolean forGood) {
            this.errno = errno;
            this.forGood = forGood;
        }
    }

    static Stream<Arguments> faults() {
        return Stream.of(Act.values()).flatMap(act -> Stream.of(Fault.values()).map(fault -> Arguments.of(act, fault)));
    }

    /** Of the journal and of the image alike: both are on that disk. */
    @ParameterizedTest
    @MethodSource("faults")
    void theDiskFailsAtEachWrite(Act act, Fault fault) throws IOException {
        Path disk = ext4("disk", 32L * Bench.MIB);
        Optional<FaultyDisk> faulty = FaultyDisk.at(disk);
        assumeTrue(faulty.isPresent(), "the kernel cannot be told to fail at a write");
        int nth = 1;
        try (FaultyDisk chosen = faulty.get()) {
            while (failsAtWrite(nth, act, fault, disk, chosen)) {
                nth++;
            }
        }
        assertThat(nth).as("something was written").isGreaterThan(1);
    }

    /** Returns whether it came to that write at all. */
    private static boolean failsAtWrite(int nth, Act act, Fault fault, Path disk, FaultyDisk faulty)
            throws IOException {
        String when = act + " with " + fault + " at write " + nth;
        try (Bench bench = new Bench(Files.createDirectory(disk.resolve("home" + nth)), Backend.IOCTL)) {
            LoopSnapshot device = bench.create();
            String lease = bench.lease(60).id();
            List<String> bound = bench.bound();
            List<Path> files = filesBelow(bench.images);
            faulty.failAt(nth, fault.errno, fault.forGood);
            try {
                act.on(bench, device, lease);
            } catch (LoopException refused) {
                assertThat(act.always).as(when).isFalse();
                assertRefusedFor(fault, refused);
                assertThat(filesBelow(bench.images)).as(when).isEqualTo(files);
                if (!fault.forGood) {
                    assertNothingChanged(bench, act, device, bound);
                }
            }
            boolean failed = faulty.wasReached();
            faulty.heal();
            bench.restart();
            List<LoopSnapshot> left = bench.managed();
            assertThat(left).as(when).allSatisfy(DiskFaultTest::assertWhole);
            assertThat(bench.imageFiles())
                    .as(when)
                    .containsExactlyElementsOf(left.stream()
                            .map(Bench::image)
                            .filter(image -> image.startsWith(bench.images))
                            .sorted()
                            .toList());
            assertThat(bench.bound()).as(when).hasSize((int) left.stream()
                    .filter(managed -> managed.observed().isPresent())
                    .count());
            return failed;
        }
    }

    /**
     * The disk below the images fails for good between two writes of the journal, which has its own: neither a file nor a
     * directory can be changed from then on. What cannot be deleted there goes when the disk is back.
     */
    @ParameterizedTest
    @EnumSource(names = {"CREATE", "CREATE_FULL", "CREATE_ELSEWHERE", "CREATE_GROUP"})
    void theImagesDiskFailsBeforeEachWriteOfTheJournal(Act act) throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        Optional<FaultyDisk> faulty = FaultyDisk.at(state);
        assumeTrue(faulty.isPresent(), "the kernel does not tell of writes beforehand");
        int nth = 1;
        try (FaultyDisk journals = faulty.get()) {
            while (imagesFailBeforeWrite(nth, act, state, journals)) {
                nth++;
            }
        }
        assertThat(nth).as("something was written").isGreaterThan(1);
    }

    /** Returns whether it came to that write at all. */
    private boolean imagesFailBeforeWrite(int nth, Act act, Path state, FaultyDisk journals) throws IOException {
        Path disk = ext4("disk" + nth, 16L * Bench.MIB);
        try (Bench bench =
                new Bench(disk, disk.resolve("images"), state.resolve("state" + nth), Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot gone = bench.create();
            bench.deleted(gone);
            String lease = bench.lease(60).id();
            List<Path> files = filesBelow(bench.images);
            journals.before(nth, () -> fail(disk));
            try {
                act.on(bench, gone, lease);
            } catch (LoopException refused) {
                assertRefusedFor(Fault.EIO_ONCE, refused);
            }
            journals.heal();
            // What is bound keeps the disk mounted.
            bench.managed().forEach(bench::force);
            bench.inTime(() -> assertThat(bench.bound()).isEmpty());
            bench.restart(() -> {
                Bench.run("umount", disk.toString());
                mountAgain(disk);
            });
            bench.inTime(() -> assertThat(bench.managed()).isEmpty());
            assertThat(filesBelow(bench.images)).as("%s at write %s", act, nth).isEqualTo(files);
            assertThat(disk.resolve("elsewhere.raw")).doesNotExist();
            return journals.wasReached();
        }
    }

    private static void assertRefusedFor(Fault fault, LoopException refused) {
        if (fault.errno == Errno.ENOSPC) {
            assertThat(refused).isInstanceOf(LoopException.InsufficientStorage.class);
        } else {
            assertThat(refused)
                    .isInstanceOfSatisfying(
                            LoopException.KernelFailure.class,
                            failure -> assertThat(failure.errnoName()).isEqualTo("EIO"));
        }
    }

    private static void assertWhole(LoopSnapshot device) {
        assertThat(Bench.image(device)).exists();
        device.observed().ifPresent(kernel -> assertThat(Bench.image(device)).hasSize(kernel.sizeBytes()));
    }

    private static List<Path> filesBelow(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.sorted().toList();
        }
    }

    @Test
    void aCreateIsRefusedWithTheErrnoWhereTheJournalFails() throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            fail(state);

            assertFailsWithEio(bench::create);

            assertThat(bench.managed()).isEmpty();
            assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(0, 0));
            assertThat(bench.imageFiles()).isEmpty();
        }
    }

    /** An image outside the images directory could never be proven to be ours after a power cut that took its record. */
    @Test
    void aPowerCutLeavesTheRecordOfAnImageElsewhere() throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        Path elsewhere = home.resolve("disk.raw");
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            boolean[] wasThere = new boolean[1];
            bench.losetup.before("attach", () -> {
                wasThere[0] = Files.exists(elsewhere);
                powerCut(state);
                // Nor is anything of it cleaned up any more.
                link(elsewhere, home.resolve("kept"));
            });
            assertThatThrownBy(() -> bench.create(Bench.spec(Bench.MIB, elsewhere, Allocation.SPARSE), Bench.terms(60)))
                    .isInstanceOf(LoopException.class);
            assertThat(wasThere[0]).isTrue();
            bench.restart(() -> {
                Bench.run("umount", state.toString());
                mountAgain(state);
                Files.move(home.resolve("kept"), elsewhere);
            });
            assertThat(elsewhere).as("what its record tells to be ours").doesNotExist();
        }
    }

    /** The same for a device that a client was told of. */
    @Test
    void aPowerCutLeavesTheRecordOfADeviceWithItsImageElsewhere() throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot device =
                    bench.create(Bench.spec(Bench.MIB, home.resolve("disk.raw"), Allocation.SPARSE), Bench.terms(3600));
            powerCut(state);
            bench.restart(() -> {
                Bench.run("umount", state.toString());
                mountAgain(state);
            });
            assertThat(bench.state(device)).contains(LoopState.READY);
        }
    }

    private static void powerCut(Path ext4) {
        shutDown(ext4, EXT4_GOING_FLAGS_NOLOGFLUSH);
    }

    private static void link(Path file, Path name) {
        try {
            Files.createLink(name, file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void assertFailsWithEio(Runnable act) {
        assertThatExceptionOfType(LoopException.KernelFailure.class)
                .isThrownBy(act::run)
                .satisfies(failure -> assertThat(failure.errnoName()).isEqualTo("EIO"));
    }

    /** Half-way: the intent is recorded, and that it was given up can not be. The next agent finds nothing left of it. */
    @Test
    void aCreateIsUndoneWhereTheJournalFailsHalfWay() throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            bench.losetup.before("attach", () -> fail(state));

            assertFailsWithEio(bench::create);

            assertThat(bench.managed()).isEmpty();
            assertThat(Bench.boundBelow(bench.images)).isEmpty();
            assertThat(bench.imageFiles()).isEmpty();
            bench.restart(() -> {
                Bench.run("umount", state.toString());
                mountAgain(state);
            });
            assertThat(bench.managed()).isEmpty();
            assertThat(bench.imageFiles()).isEmpty();
        }
    }

    /** Renewing and giving back go on; only a new agent would know nothing of it, and finds out. */
    @Test
    void leasesAreRenewedAndDevicesGivenBackWhereTheJournalFails() throws IOException {
        Path state = ext4("state", 16L * Bench.MIB);
        try (Bench bench = new Bench(home, home.resolve("images"), state, Backend.IOCTL, Bench.UNLIMITED)) {
            LoopSnapshot renewed = bench.create();
            LoopSnapshot deleted = bench.create();
            LoopSnapshot expiring = bench.create();
            fail(state);

            bench.advance(Duration.ofSeconds(50));
            bench.renew(renewed.managed().orElseThrow().lease().id());
            bench.deleted(deleted);
            bench.advance(Duration.ofSeconds(15));
            bench.inTime(() -> assertThat(bench.state(expiring)).isEmpty());

            assertThat(bench.state(renewed)).contains(LoopState.READY);
            assertThat(bench.imageFiles()).containsExactly(Bench.image(renewed));
            bench.restart(() -> {
                Bench.run("umount", state.toString());
                mountAgain(state);
            });
            assertThat(bench.managed()).hasSizeLessThanOrEqualTo(1);
            assertThat(Bench.boundBelow(bench.images)).hasSameSizeAs(bench.managed());
        }
    }

    @Test
    void aCreateIsRefusedWithTheErrnoWhereTheImagesDiskFails() throws IOException {
        Path images = ext4("images", 16L * Bench.MIB);
        Bench bench = new Bench(home, images, home.resolve("state"), Backend.IOCTL, Bench.UNLIMITED);
        try {
            fail(images);

            assertFailsWithEio(bench::create);

            assertThat(bench.managed()).isEmpty();
            assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(0, 0));
            bench.restart(() -> {
                Bench.run("umount", images.toString());
                mountAgain(images);
            });
            assertThat(bench.imageFiles()).isEmpty();
        } finally {
            bench.stop();
        }
    }

    /** The image was made, and could not be deleted: the device stays STUCK, and nothing of it is forgotten. */
    @Test
    void anImageThatCannotBeDeletedIsNotForgotten() throws IOException {
        Path images = ext4("images", 16L * Bench.MIB);
        Bench bench = new Bench(home, images, home.resolve("state"), Backend.IOCTL, Bench.UNLIMITED);
        try {
            LoopSnapshot device = bench.create();
            fail(images);

            assertThat(bench.delete(device)).isInstanceOf(LoopService.Release.Pending.class);
            bench.inTime(() -> assertThat(bench.state(device)).contains(LoopState.STUCK));
            assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(1, Bench.MIB));

            bench.restart(() -> {
                Bench.run("umount", images.toString());
                mountAgain(images);
            });
            bench.inTime(() -> assertThat(bench.managed()).isEmpty());
            assertThat(bench.imageFiles()).isEmpty();
        } finally {
            bench.stop();
        }
    }
}
