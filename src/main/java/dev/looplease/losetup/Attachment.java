package dev.looplease.losetup;

import dev.looplease.posix.Fd;
import java.nio.file.Path;
import java.util.OptionalInt;

/**
 * What is to be attached, and how.
 *
 * @param image the open image; it stays the caller's to close
 * @param path its absolute path
 * @param offsetBytes where the section begins, a multiple of 512
 * @param sizeLimitBytes the section's length, a multiple of 512; 0: to the end of the image
 * @param sectorSize the logical sector size in bytes, a power of two, 512 or more; the upper bound is the kernel's
 * @param number the wanted number, 0 to {@value #MAX_NUMBER}; empty: any free one
 * @param tag whose device it is, at most {@value #MAX_TAG} printable ASCII characters. The ioctl backend keeps it in
 *     {@code lo_file_name}, where LOOP_GET_STATUS64 finds it again even after this process's death.
 */
public record Attachment(
        Fd image,
        Path path,
        long offsetBytes,
        long sizeLimitBytes,
        int sectorSize,
        boolean readOnly,
        boolean partScan,
        DirectIo directIo,
        OptionalInt number,
        String tag) {

    /** Minors have 20 bits: {@code include/linux/kdev_t.h}. */
    public static final int MAX_NUMBER = (1 << 20) - 1;

    /** LO_NAME_SIZE less the final zero: {@code <linux/loop.h>}. */
    public static final int MAX_TAG = 63;

    public Attachment {
        check(path.isAbsolute(), "path must be absolute: " + path);
        check(offsetBytes >= 0 && offsetBytes % 512 == 0, "offsetBytes must be a multiple of 512: " + offsetBytes);
        check(
                sizeLimitBytes >= 0 && sizeLimitBytes % 512 == 0,
                "sizeLimitBytes must be a multiple of 512: " + sizeLimitBytes);
        check(sizeLimitBytes <= Long.MAX_VALUE - offsetBytes, "the section must end below 2^63 bytes");
        checkSectorSize(sectorSize);
        number.ifPresent(n -> check(n >= 0 && n <= MAX_NUMBER, "number must be 0 to " + MAX_NUMBER + ": " + n));
        check(
                tag.length() <= MAX_TAG && tag.chars().allMatch(c -> c >= ' ' && c <= '~'),
                "tag must be at most " + MAX_TAG + " printable ASCII characters");
    }

    static void checkSectorSize(int bytes) {
        check(bytes >= 512 && Integer.bitCount(bytes) == 1, "sectorSize must be a power of two from 512: " + bytes);
    }

    private static void check(boolean holds, String message) {
        if (!holds) {
            throw new IllegalArgumentException(message);
        }
    }
}
