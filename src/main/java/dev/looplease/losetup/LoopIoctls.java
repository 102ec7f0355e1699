package dev.looplease.losetup;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * The loop driver's ioctls, {@code <linux/loop.h>}, and those that every block device has, {@code <linux/fs.h>}. A test
 * compares all numbers here with the C headers.
 */
final class LoopIoctls {

    static final int LOOP_CLR_FD = 0x4C01;
    static final int LOOP_SET_STATUS64 = 0x4C04;
    static final int LOOP_GET_STATUS64 = 0x4C05;
    static final int LOOP_SET_CAPACITY = 0x4C07;
    static final int LOOP_SET_DIRECT_IO = 0x4C08;
    static final int LOOP_SET_BLOCK_SIZE = 0x4C09;
    /** Since 5.8. */
    static final int LOOP_CONFIGURE = 0x4C0A;

    static final int LOOP_CTL_ADD = 0x4C80;
    static final int LOOP_CTL_REMOVE = 0x4C81;
    static final int LOOP_CTL_GET_FREE = 0x4C82;

    static final int BLKROSET = 0x125D;
    static final int BLKROGET = 0x125E;
    static final int BLKSSZGET = 0x1268;
    static final int BLKGETSIZE64 = 0x80081272;
    /** Since 5.15. */
    static final int BLKGETDISKSEQ = 0x80081280;

    static final int LO_FLAGS_READ_ONLY = 1;
    static final int LO_FLAGS_AUTOCLEAR = 4;
    static final int LO_FLAGS_PARTSCAN = 8;
    static final int LO_FLAGS_DIRECT_IO = 16;

    /** {@code struct loop_config}: size, and offsets of what is set. */
    static final int CONFIG_SIZE = 304;

    static final int CONFIG_FD = 0;
    static final int CONFIG_BLOCK_SIZE = 4;
    static final int CONFIG_INFO = 8;

    /** {@code struct loop_info64}: size, and offsets of what is set or read. */
    static final int INFO_SIZE = 232;

    static final int INFO_DEVICE = 0;
    static final int INFO_INODE = 8;
    static final int INFO_RDEVICE = 16;
    static final int INFO_OFFSET = 24;
    static final int INFO_SIZELIMIT = 32;
    static final int INFO_NUMBER = 40;
    static final int INFO_FLAGS = 52;
    static final int INFO_FILE_NAME = 56;

    private LoopIoctls() {}

    /**
     * What LOOP_GET_STATUS64 answers.
     *
     * @param backingNode {@code lo_rdevice}; of a file 0:0, and on older kernels its filesystem
     */
    record Status(
            DeviceNumber backingDevice,
            long backingInode,
            DeviceNumber backingNode,
            long offsetBytes,
            long sizeLimitBytes,
            int number,
            int flags,
            String tag) {

        boolean has(int flag) {
            return (flags & flag) != 0;
        }
    }

    /** Binds in one step, without PARTSCAN: that comes afterwards, see {@link #changeFlags}. */
    static void configure(Fd device, Attachment wanted) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment config = arena.allocate(CONFIG_SIZE, 8);
            config.set(JAVA_INT, CONFIG_FD, wanted.image().number());
            config.set(JAVA_INT, CONFIG_BLOCK_SIZE, wanted.sectorSize());
            MemorySegment info = config.asSlice(CONFIG_INFO, INFO_SIZE);
            info.set(JAVA_LONG, INFO_OFFSET, wanted.offsetBytes());
            info.set(JAVA_LONG, INFO_SIZELIMIT, wanted.sizeLimitBytes());
            info.set(
                    JAVA_INT,
                    INFO_FLAGS,
                    (wanted.readOnly() ? LO_FLAGS_READ_ONLY : 0)
                            | (wanted.directIo() == DirectIo.OFF ? 0 : LO_FLAGS_DIRECT_IO));
            info.setString(INFO_FILE_NAME, wanted.tag(), StandardCharsets.US_ASCII);
            Posix.ioctl(device, "LOOP_CONFIGURE", LOOP_CONFIGURE, config);
        }
    }

    /**
     * Whether the kernel knows LOOP_CONFIGURE. Asked with a descriptor that cannot be: a kernel that knows it looks at
     * that first ({@code loop_configure()}: EBADF), whatever the device, and changes nothing.
     */
    static boolean knowsConfigure(Fd device) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment config = arena.allocate(CONFIG_SIZE, 8);
            config.set(JAVA_INT, CONFIG_FD, -1);
            Posix.ioctl(device, "LOOP_CONFIGURE", LOOP_CONFIGURE, config);
            return false;
        } catch (PosixException e) {
            return e.errnoName().equals("EBADF");
        }
    }

    /** Empty where nothing is bound, or it is being detached for good. */
    static Optional<Status> status(Fd device) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = info(device, arena);
            return Optional.of(new Status(
                    decode(info.get(JAVA_LONG, INFO_DEVICE)),
                    info.get(JAVA_LONG, INFO_INODE),
                    decode(info.get(JAVA_LONG, INFO_RDEVICE)),
                    info.get(JAVA_LONG, INFO_OFFSET),
                    info.get(JAVA_LONG, INFO_SIZELIMIT),
                    info.get(JAVA_INT, INFO_NUMBER),
                    info.get(JAVA_INT, INFO_FLAGS),
                    // LOOP_GET_STATUS64 always leaves a final zero, and 0 bytes are no letters: this cannot overrun.
                    info.getString(INFO_FILE_NAME, StandardCharsets.ISO_8859_1)));
        } catch (PosixException e) {
            if (e.errno() == Errno.ENXIO) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /**
     * Sets and clears flags and leaves all else as it is. LOOP_SET_STATUS64 can set AUTOCLEAR and PARTSCAN, and clear
     * AUTOCLEAR.
     */
    static void changeFlags(Fd device, int set, int clear) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = info(device, arena);
            info.set(JAVA_INT, INFO_FLAGS, (info.get(JAVA_INT, INFO_FLAGS) & ~clear) | set);
            Posix.ioctl(device, "LOOP_SET_STATUS64", LOOP_SET_STATUS64, info);
        }
    }

    /** Asks to detach, at the last close. */
    static void clear(Fd device) throws IOException {
        Posix.ioctl(device, "LOOP_CLR_FD", LOOP_CLR_FD, 0);
    }

    static long sizeBytes(Fd device) throws IOException {
        return readLong(device, "BLKGETSIZE64", BLKGETSIZE64);
    }

    static int sectorSize(Fd device) throws IOException {
        return readInt(device, "BLKSSZGET", BLKSSZGET);
    }

    static boolean isReadOnly(Fd device) throws IOException {
        return readInt(device, "BLKROGET", BLKROGET) != 0;
    }

    /**
     * Ends what {@code blockdev --setro} has set, which stays on the device when its image goes, for whoever is next
     * ({@code bdev_set_flag()} in {@code blkdev_roset()}). Changes nothing where the image itself is bound read-only.
     */
    static void endForeignReadOnly(Fd device) throws IOException {
        if (status(device).filter(is -> !is.has(LO_FLAGS_READ_ONLY)).isPresent()) {
            allowWrites(device);
        }
    }

    /** The same of a device that has just been cleared; one that somebody else keeps bound stays as it is. */
    static void leaveWritable(Fd device) throws IOException {
        if (isReadOnly(device) && status(device).isEmpty()) {
            allowWrites(device);
        }
    }

    private static void allowWrites(Fd device) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Posix.ioctl(device, "BLKROSET", BLKROSET, arena.allocateFrom(JAVA_INT, 0));
        }
    }

    /** 0 on a kernel that has none. */
    static long diskSeq(Fd device) throws IOException {
        try {
            return readLong(device, "BLKGETDISKSEQ", BLKGETDISKSEQ);
        } catch (PosixException e) {
            if (e.errno() == Errno.ENOTTY || e.errno() == Errno.EINVAL) {
                return 0;
            }
            throw e;
        }
    }

    private static MemorySegment info(Fd device, Arena arena) throws IOException {
        MemorySegment info = arena.allocate(INFO_SIZE, 8);
        Posix.ioctl(device, "LOOP_GET_STATUS64", LOOP_GET_STATUS64, info);
        return info;
    }

    private static long readLong(Fd device, String name, int request) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_LONG);
            Posix.ioctl(device, name, Integer.toUnsignedLong(request), value);
            return value.get(JAVA_LONG, 0);
        }
    }

    private static int readInt(Fd device, String name, int request) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_INT);
            Posix.ioctl(device, name, request, value);
            return value.get(JAVA_INT, 0);
        }
    }

    /** huge_decode_dev() in {@code include/linux/kdev_t.h}. */
    private static DeviceNumber decode(long device) {
        return new DeviceNumber((int) ((device >> 8) & 0xfff), (int) ((device & 0xff) | ((device >> 12) & 0xfff00)));
    }
}
