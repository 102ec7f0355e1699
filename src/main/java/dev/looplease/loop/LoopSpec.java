package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.losetup.DirectIo;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * A device that somebody wants. What can be judged without looking at the host is judged here.
 *
 * @param sizeBytes the size of the image file, a positive multiple of 512; empty only with {@code reuseFile}
 * @param number the wanted loop number, 0 to {@value #HIGHEST_NUMBER}; the first free one when empty
 * @param imagePath a directory or a file inside an allowed root; the images directory when null
 * @param inDirectory {@code imagePath} must be a directory: it ended with a slash, which a {@link Path} forgets
 * @param reuseFile attach the existing file at {@code imagePath} as it is
 * @param offsetBytes where the mapped section begins, a multiple of 512
 * @param sizeLimitBytes how long it is at most, a multiple of 512; 0 for the rest of the file
 * @param sectorSize logical sector size, a power of two from 512; the kernel decides the upper bound
 */
public record LoopSpec(
        OptionalLong sizeBytes,
        OptionalInt number,
        @Nullable Path imagePath,
        boolean inDirectory,
        boolean reuseFile,
        Allocation allocation,
        long offsetBytes,
        long sizeLimitBytes,
        int sectorSize,
        boolean readOnly,
        boolean partScan,
        DirectIo directIo,
        Map<String, String> labels) {

    /** {@code MINORBITS} is 20: include/linux/kdev_t.h. */
    public static final int HIGHEST_NUMBER = (1 << 20) - 1;

    /** The unit of the block layer, {@code SECTOR_SIZE} in include/linux/blk_types.h. */
    public static final int SECTOR_BYTES = 512;

    public LoopSpec {
        Objects.requireNonNull(allocation);
        Objects.requireNonNull(directIo);
        labels = Map.copyOf(labels);
        Violations violations = new Violations();
        if (reuseFile) {
            violations
                    .require(imagePath != null, "imagePath", "is needed with reuseFile: the file to attach")
                    .require(!inDirectory, "imagePath", "must be a file with reuseFile, and not end with a slash")
                    .require(
                            sizeBytes.isEmpty(),
                            "sizeBytes",
                            "must be left out with reuseFile: the device has the size of the file")
                    .require(
                            allocation == Allocation.SPARSE,
                            "allocation",
                            "must be left out with reuseFile: the file is attached as it is");
        } else if (sizeBytes.isEmpty()) {
            violations.require(false, "sizeBytes", "is needed");
        } else {
            violations
                    .require(sizeBytes.getAsLong() > 0, "sizeBytes", "must be positive")
                    .require(
                            sizeBytes.getAsLong() % SECTOR_BYTES == 0,
                            "sizeBytes",
                            "must be a multiple of 512, not " + sizeBytes.getAsLong());
        }
        violations.require(
                number.isEmpty() || (number.getAsInt() >= 0 && number.getAsInt() <= HIGHEST_NUMBER),
                "name",
                "must be loop0 to loop" + HIGHEST_NUMBER);
        violations
                .require(
                        offsetBytes >= 0 && offsetBytes % SECTOR_BYTES == 0,
                        "offsetBytes",
                        "must be 0 or a positive multiple of 512, not " + offsetBytes)
                .require(
                        sizeLimitBytes >= 0 && sizeLimitBytes % SECTOR_BYTES == 0,
                        "sizeLimitBytes",
                        "must be 0 (the rest of the file) or a positive multiple of 512, not " + sizeLimitBytes)
                .require(
                        isSectorSize(sectorSize),
                        "sectorSize",
                        "must be a power of two from 512 (512, 1024, 2048, 4096, ...), not " + sectorSize);
        Labels.check(labels, violations);
        violations.throwIfAny();
        if (sizeBytes.isPresent()) {
            Section.check(sizeBytes.getAsLong(), offsetBytes, sizeLimitBytes, sectorSize);
        }
    }

    /** The path that {@link #reuseFile} needs. */
    Path requiredImagePath() {
        return Objects.requireNonNull(imagePath);
    }

    static boolean isSectorSize(int bytes) {
        return bytes >= SECTOR_BYTES && Integer.bitCount(bytes) == 1;
    }
}
