package dev.looplease.loop;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A filesystem of a test's own on a loop device of its own; it can fail, be away and come back. */
final class Disk implements Closeable {

    /** mkfs.xfs wants no less; the file is sparse. */
    private static final long BYTES = 320L << 20;

    /** {@code _IOR('X', 125, __u32)}: XFS_IOC_GOINGDOWN of fs/xfs/libxfs/xfs_fs.h, EXT4_IOC_SHUTDOWN of fs/ext4/ext4.h. */
    private static final long GOING_DOWN = 0x8004587DL;
    /** What is in its own journal reaches the disk, and nothing after that. */
    private static final int LOG_FLUSH = 1;

    private final Path at;
    private final String node;

    private Disk(Path at, String node) {
        this.at = at;
        this.node = node;
    }

    /**
     * Makes one and mounts it.
     *
     * @param beside its own file; not where it is mounted
     */
    static Disk xfs(Path beside, Path at) throws IOException {
        Path file = beside.resolve(at.getFileName() + ".xfs");
        try (RandomAccessFile made = new RandomAccessFile(file.toFile(), "rw")) {
            made.setLength(BYTES);
        }
        Bench.run("mkfs.xfs", "-q", file.toString());
        Files.createDirectories(at);
        Disk disk = new Disk(
                at,
                Bench.soon()
                        .ignoreExceptions()
                        .until(
                                () -> Bench.run("losetup", "--find", "--show", file.toString()),
                                name -> name.startsWith("/dev/")));
        disk.mount();
        return disk;
    }

    void mount() {
        Bench.run("mount", node, at.toString());
    }

    void unmount() {
        Bench.unmount(at);
    }

    /** From now on every file on it answers EIO, whatever is asked: even its inode number. */
    void fail() throws IOException {
        try (Fd fd = Posix.open(at, Posix.O_RDONLY | Posix.O_DIRECTORY);
                Arena arena = Arena.ofConfined()) {
            MemorySegment flags = arena.allocateFrom(ValueLayout.JAVA_INT, LOG_FLUSH);
            Posix.ioctl(fd, "XFS_IOC_GOINGDOWN", GOING_DOWN, flags);
        }
    }

    /** Whatever maps files of it goes; then it is as good as new. */
    void replace() {
        detachAll();
        unmount();
        mount();
    }

    /** Ends what maps files of it; by the kernel's names, because of what cannot be read there is nothing else. */
    void detachAll() {
        List<String> bound = Bench.boundBelow(at);
        bound.forEach(device -> Bench.run("losetup", "--detach", "/dev/" + device.split(" ", 2)[0]));
        Bench.soon().until(() -> Bench.boundBelow(at).isEmpty());
    }

    @Override
    public void close() throws IOException {
        detachAll();
        unmount();
        Bench.run("losetup", "--detach", node);
    }
}
