package dev.looplease.api;

import dev.looplease.loop.LoopPatch;
import dev.looplease.loop.Violations;
import dev.looplease.losetup.DirectIo;
import io.swagger.v3.oas.annotations.media.Schema;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The body of {@code PATCH /loop-devices/{id}}. What is left out stays as it is. */
@Schema(
        description = "What is to change; all of it or nothing. What is left out stays.",
        example = "{\"sizeBytes\": 134217728, \"labels\": {\"suite\": \"nightly\"}}")
record PatchLoopDevice(
        @Schema(
                description =
                        "The image file's new size in bytes, a multiple of 512. The present size makes the device follow a file that was resized by somebody else.",
                minimum = "512",
                multipleOf = 512,
                example = "134217728")
        @Nullable
        Long sizeBytes,

        @Schema(
                description =
                        "Whether sizeBytes may be smaller than now, which destroys what lies behind the new end. The device must be unused.",
                defaultValue = "false")
        @Nullable
        Boolean allowShrink,

        @Schema(description = "Direct I/O to the image, as in POST.") @Nullable
        DirectIo directIo,

        @Schema(
                description = "Logical sector size in bytes, a power of two from 512. The device must be unused.",
                minimum = "512",
                example = "4096")
        @Nullable
        Integer sectorSize,

        @Schema(
                description = "All labels, in place of the present ones; as in POST.",
                maxProperties = 32,
                example = "{\"suite\": \"nightly\"}")
        @Nullable
        Map<String, String> labels,

        @Schema(description = "The lease, of the same owner, that the device is to live by from now on.") @Nullable
        String leaseId) {

    LoopPatch toPatch() {
        new Violations()
                .require(leaseId == null || !leaseId.isEmpty(), "leaseId", JsonChecks.EMPTY)
                .require(JsonChecks.hasNoNulls(labels), "labels", "every value must be text, not null")
                .throwIfAny();
        return new LoopPatch(
                sizeBytes == null ? OptionalLong.empty() : OptionalLong.of(sizeBytes),
                Boolean.TRUE.equals(allowShrink),
                Optional.ofNullable(directIo),
                sectorSize == null ? OptionalInt.empty() : OptionalInt.of(sectorSize),
                Optional.ofNullable(labels),
                Optional.ofNullable(leaseId));
    }
}
