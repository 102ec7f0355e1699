package dev.looplease.journal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.awaitility.Awaitility.await;

import dev.looplease.KernelTest;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Disks that fill up, fail, and lose power: small filesystems of the real kernel. */
@KernelTest
class JournalDiskTest {

    /** {@code _IOR('X', 125, __u32)}, fs/ext4/ext4.h. */
    private static final long EXT4_IOC_SHUTDOWN = 0x8004587DL;
    /** Everything that is not on the disk yet is lost, the filesystem's own journal too: a power cut. */
    private static final int EXT4_GOING_FLAGS_NOLOGFLUSH = 2;

    @TempDir
    Path directory;

    private final Deque<Path> mounts = new ArrayDeque<>();

    @AfterEach
    void unmount() throws Exception {
        while (!mounts.isEmpty()) {
            run("umount", mounts.pop().toString());
        }
    }

    private static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue())
                .as("%s: %s", String.join(" ", command), output)
                .isZero();
    }

    private Path mount(String name, String type, String options, String source) throws Exception {
        Path at = directory.resolve(name);
        Files.createDirectories(at);
        run("mount", "-t", type, "-o", options, source, at.toString());
        mounts.push(at);
        return at;
    }

    private void unmount(Path at) throws Exception {
        run("umount", at.toString());
        mounts.remove(at);
    }

    private Path image(Path in, String type, long sizeBytes, String... options) throws Exception {
        Path image = in.resolve("image." + type);
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(sizeBytes);
        }
        String[] command = new String[options.length + 3];
        command[0] = "mkfs." + type;
        command[1] = "-q";
        System.arraycopy(options, 0, command, 2, options.length);
        command[command.length - 1] = image.toString();
        run(command);
        return image;
    }

    /** Leaves not a byte on that filesystem. */
    private static Path fill(Path filesystem) throws IOException {
        Path filler = filesystem.resolve("filler");
        byte[] block = new byte[4096];
        try (OutputStream out = Files.newOutputStream(filler)) {
            while (true) {
                out.write(block);
            }
        } catch (IOException e) {
            assertThat(e).hasMessageContaining("No space left");
        }
        return filler;
    }

    private static void assertFails(ThrowingCallable call, Integer... errnos) {
        assertThatExceptionOfType(PosixException.class)
                .isThrownBy(call)
                .satisfies(e -> assertThat(e.errno()).isIn((Object[]) errnos));
    }

    private static String content(Journal journal, String key) {
        return String.valueOf(JournalTest.text(journal.live()).get(key));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    /** Puts values of 500 bytes until the disk refuses one; returns what went in. */
    private static Map<String, String> putUntilFull(Journal journal) {
        Map<String, String> accepted = new HashMap<>();
        String value = "v".repeat(500);
        assertFails(
                () -> {
                    for (int i = 0; i < 100_000; i++) {
                        journal.put("key" + i, bytes(value), Durability.MEMORY);
                        accepted.put("key" + i, value);
                    }
                },
                Errno.ENOSPC);
        return accepted;
    }

    @Test
    void onAFullDiskPutsFailWholeAndEveryRecordCanBeStruckOut() throws Exception {
        Path disk = mount("tmpfs", "tmpfs", "size=4m,mode=700", "tmpfs");
        Path file = disk.resolve("journal");
        Map<String, String> accepted;
        Files.write(disk.resolve("another"), new byte[1 << 20]);
        try (Journal journal = Journal.open(file)) {
            accepted = putUntilFull(journal);
            assertThat(accepted).hasSizeGreaterThan(2000);
            assertThat(JournalTest.text(journal.live())).isEqualTo(accepted);
            fill(disk);
            assertFails(() -> journal.put("key0", new byte[5000], Durability.MEMORY), Errno.ENOSPC);
            assertThat(content(journal, "key0")).isEqualTo(accepted.get("key0"));
        }
        try (Journal journal = Journal.open(file)) {
            assertThat(journal.damage()).isEmpty();
            assertThat(JournalTest.text(journal.live())).isEqualTo(accepted);
            for (String key : accepted.keySet()) {
                journal.remove(key, Durability.MEMORY);
            }
            assertThat(journal.live()).isEmpty();
            Files.delete(disk.resolve("another"));
            journal.put("again", bytes("1"), Durability.DISK);
        }
        try (Journal journal = Journal.open(file)) {
            assertThat(journal.damage()).isEmpty();
            assertThat(JournalTest.text(journal.live())).isEqualTo(Map.of("again", "1"));
        }
    }

    @Test
    void aFullDiskAtOpenLeavesTheOldLogInUse() throws Exception {
        Path disk = mount("tmpfs", "tmpfs", "size=2m,mode=700", "tmpfs");
        Path file = disk.resolve("journal");
        try (Journal journal = Journal.open(file)) {
            journal.put("a", bytes("1"), Durability.MEMORY);
            journal.put("a", bytes("2"), Durability.MEMORY);
            journal.put("b", bytes("3"), Durability.MEMORY);
        }
        byte[] whole = Files.readAllBytes(file);
        try (RandomAccessFile log = new RandomAccessFile(file.toFile(), "rw")) {
            log.seek(whole.length);
            log.write(whole, LogFormat.HEADER_BYTES, 7);
        }
        Path filler = fill(disk);
        try (Journal journal = Journal.open(file)) {
            assertThat(journal.stats().failedCompactions()).isEqualTo(1);
            assertThat(journal.damage()).hasSize(1);
            assertThat(journal.damage().getFirst().reason())
                    .contains("a torn record")
                    .contains("could not be set aside");
            assertThat(JournalTest.text(journal.live())).isEqualTo(Map.of("a", "2", "b", "3"));
            journal.remove("b", Durability.DISK);
        }
        Files.delete(filler);
        try (Journal journal = Journal.open(file)) {
            assertThat(JournalTest.text(journal.live())).isEqualTo(Map.of("a", "2"));
        }
    }

    /** ext2 cannot reserve space: here it is the write itself that fails, half-way. */
    @Test
    void aWriteThatFailsHalfWayIsCutOff() throws Exception {
        Path image = image(directory, "ext2", 2 << 20, "-b", "1024", "-m", "0");
        Path disk = mount("ext2", "ext2", "loop", image.toString());
        Path file = disk.resolve("journal");
        try (Journal journal = Journal.open(file)) {
            journal.put("a", bytes("1"), Durability.MEMORY);
            Path filler = fill(disk);
            try (RandomAccessFile shrunk = new RandomAccessFile(filler.toFile(), "rw")) {
                shrunk.setLength(shrunk.length() - 20_000);
            }
            long before = Files.size(file);
            assertFails(() -> journal.put("large", new byte[100_000], Durability.MEMORY), Errno.ENOSPC);
            assertThat(Files.size(file)).isEqualTo(before);
            journal.put("small", bytes("2"), Durability.MEMORY);
            Files.delete(filler);
            journal.put("large", bytes("3"), Durability.DISK);
        }
        try (Journal journal = Journal.open(file)) {
            assertThat(journal.damage()).isEmpty();
            assertThat(JournalTest.text(journal.live())).isEqualTo(Map.of("a", "1", "small", "2", "large", "3"));
        }
    }

    @Test
    void whatWasPutOnTheDiskSurvivesAPowerCutAndAFailingDiskFailsThePut() throws Exception {
        Path image = image(directory, "ext4", 16 << 20);
        Path disk = mount("ext4", "ext4", "loop", image.toString());
        Map<String, String> durable = new HashMap<>();
        try (Journal journal = Journal.open(disk.resolve("journal"))) {
            for (int i = 0; i < 3000; i++) {
                String value = i + "x".repeat(1000);
                durable.put("key" + i % 20, value);
                journal.put("key" + i % 20, bytes(value), i < 2980 ? Durability.MEMORY : Durability.DISK);
            }
            await().until(() -> journal.stats().compactions() > 0);
            shutDown(disk);
            assertFails(() -> journal.put("key1", bytes("lost"), Durability.MEMORY), Errno.EIO);
            assertFails(() -> journal.put("key2", bytes("lost"), Durability.DISK), Errno.EIO);
            assertFails(() -> journal.remove("key3", Durability.MEMORY), Errno.EIO);
            assertThat(JournalTest.text(journal.live())).isEqualTo(durable);
        }
        unmount(disk);
        disk = mount("ext4", "ext4", "loop", image.toString());
        try (Journal journal = Journal.open(disk.resolve("journal"))) {
            assertThat(JournalTest.text(journal.live())).isEqualTo(durable);
            journal.put("key1", bytes("again"), Durability.DISK);
        }
    }

    /** The fault guarded: whoever appended the byte too many wrote the log anew, and waited for the disk; a lease with him. */
    @Test
    void nobodyWhoAppendsWaitsForACompaction() throws Exception {
        Path below = mount(
                "below", "ext4", "loop", image(directory, "ext4", 64 << 20).toString());
        Path image = image(below, "ext2", 32 << 20, "-b", "4096", "-m", "0");
        Path disk = mount("above", "ext2", "loop", image.toString());
        try (Journal journal = Journal.open(disk.resolve("journal"));
                ExecutorService writer = Executors.newSingleThreadExecutor()) {
            // A first time, which reads what the filesystem has to know of itself.
            putMebibytes(journal, 2);
            await().until(() -> journal.stats().compactions() > 0);
            journal.sync();
            long before = journal.stats().compactions();
            run("fsfreeze", "--freeze", below.toString());
            try {
                Future<Boolean> appended = writer.submit(() -> {
                    putMebibytes(journal, 2);
                    return true;
                });
                assertThat(appended).succeedsWithin(Duration.ofSeconds(10));
                assertThat(journal.stats().compactions()).isEqualTo(before);
            } finally {
                run("fsfreeze", "--unfreeze", below.toString());
            }
            await().until(() -> journal.stats().compactions() > before);
            assertThat(journal.stats().failedCompactions()).isZero();
        }
        try (Journal journal = Journal.open(disk.resolve("journal"))) {
            assertThat(content(journal, "key")).startsWith("2047");
        }
    }

    private static void putMebibytes(Journal journal, int mebibytes) throws IOException {
        for (int i = 0; i < 1024 * mebibytes; i++) {
            journal.put("key", bytes(i + "x".repeat(1000)), Durability.MEMORY);
        }
    }

    private static void shutDown(Path ext4) throws IOException {
        try (Fd fd = Posix.open(ext4, Posix.O_RDONLY | Posix.O_DIRECTORY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment flags = arena.allocateFrom(ValueLayout.JAVA_INT, EXT4_GOING_FLAGS_NOLOGFLUSH);
            Posix.ioctl(fd, "EXT4_IOC_SHUTDOWN", EXT4_IOC_SHUTDOWN, flags);
        }
    }

    /**
     * The fault guarded: after a failed fsync the kernel calls the pages clean, and the next fsync of the same file
     * succeeds without having written them.
     */
    @Test
    void afterAFailedSyncTheLogIsWrittenAnewBeforeAnythingCountsAsOnTheDisk() throws Exception {
        // The image is sparse and its own filesystem full: ext2 takes a write, and finds out at the fsync.
        Path below = mount("below", "tmpfs", "size=4m,mode=700", "tmpfs");
        Path image = image(below, "ext2", 16 << 20, "-b", "4096", "-m", "0");
        Path disk = mount("ext2", "ext2", "loop", image.toString());
        Path file = disk.resolve("journal");
        try (Journal journal = Journal.open(file)) {
            journal.put("a", bytes("1"), Durability.DISK);
            journal.put("b", bytes("1"), Durability.DISK);
            // Up to the end of a block: a write that begins in a block that is there and ends in one that is not is
            // a short write to the loop driver, and Linux 6.18 calls that a success.
            int rest = 4096 - (int) journal.stats().fileBytes() - LogFormat.size("pad", new byte[0]);
            journal.put("pad", new byte[rest], Durability.DISK);
            run("sync", "-f", disk.toString());
            Path filler = fill(below);
            assertFails(() -> journal.put("a", bytes("2".repeat(20_000)), Durability.DISK), Errno.EIO, Errno.ENOSPC);
            assertThat(content(journal, "a")).isEqualTo("1");
            Files.delete(filler);
            assertThat(journal.stats().compactions()).isZero();
            journal.put("b", bytes("2"), Durability.DISK);
            assertThat(journal.stats().compactions()).isEqualTo(1);
        }
        unmount(disk);
        disk = mount("ext2", "ext2", "loop", image.toString());
        try (Journal journal = Journal.open(disk.resolve("journal"))) {
            assertThat(JournalTest.text(journal.live())).containsEntry("a", "1").containsEntry("b", "2");
        }
    }
}
