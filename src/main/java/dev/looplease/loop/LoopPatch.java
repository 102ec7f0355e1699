package dev.looplease.loop;

import dev.looplease.losetup.DirectIo;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * A change to a device; what is empty stays.
 *
 * @param sizeBytes the image file's new size, a positive multiple of 512
 * @param leaseId the lease of the same owner that it is to live by from now on
 * @param allowShrink whether it may be smaller, which destroys what lies behind the new end
 */
public record LoopPatch(
        OptionalLong sizeBytes,
        boolean allowShrink,
        Optional<DirectIo> directIo,
        OptionalInt sectorSize,
        Optional<Map<String, String>> labels,
        Optional<String> leaseId) {

    public LoopPatch {
        Violations violations = new Violations();
        if (sizeBytes.isPresent()) {
            long size = sizeBytes.getAsLong();
            violations.require(
                    size > 0 && size % LoopSpec.SECTOR_BYTES == 0,
                    "sizeBytes",
                    "must be a positive multiple of 512, not " + size);
        }
        if (sectorSize.isPresent()) {
            violations.require(
                    LoopSpec.isSectorSize(sectorSize.getAsInt()),
                    "sectorSize",
                    "must be a power of two from 512, not " + sectorSize.getAsInt());
        }
        labels.ifPresent(map -> Labels.check(map, violations));
        violations.throwIfAny();
    }
}
