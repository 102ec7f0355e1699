package dev.looplease.api;

import dev.looplease.image.Allocation;
import dev.looplease.loop.DeviceRef;
import dev.looplease.loop.LeaseChoice;
import dev.looplease.loop.LeaseTerms;
import dev.looplease.loop.Limits;
import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopSpec;
import dev.looplease.loop.OnExpiry;
import dev.looplease.loop.Violations;
import dev.looplease.losetup.DirectIo;
import io.swagger.v3.oas.annotations.media.Schema;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The body of {@code POST /loop-devices}. What is left out takes its default; the checks are the domain's. */
@Schema(
        description =
                "The device that is wanted. All fields are optional; {} asks for 1 GiB, sparse, for the host's default ttl.",
        example = "{\"sizeMb\": 64, \"ttlSeconds\": 600, \"labels\": {\"suite\": \"nightly\"}}")
record CreateLoopDevice(
        @Schema(
                description = "Size of the image file in MiB; 1024 when neither size is given.",
                minimum = "1",
                example = "64")
        @Nullable
        Long sizeMb,

        @Schema(
                description =
                        "Size of the image file in bytes, a multiple of 512; instead of sizeMb. With reuseFile neither may be given.",
                minimum = "512",
                multipleOf = 512,
                example = "67108864")
        @Nullable
        Long sizeBytes,

        @Schema(
                description = "The wanted kernel name; the first free one by default.",
                pattern = "^loop(0|[1-9][0-9]{0,6})$",
                example = "loop7")
        @Nullable
        String name,

        @Schema(
                description =
                        "Where the image is: an absolute path of a directory or a file inside an allowed root (looplease.image-roots); with a slash at its end of a directory only. The agent's images directory by default.",
                example = "/srv/images/disk.img")
        @Nullable
        String imagePath,

        @Schema(
                description =
                        "Attach the existing file at imagePath as it is. The agent never deletes a file that it did not create.",
                defaultValue = "false")
        @Nullable
        Boolean reuseFile,

        @Schema(
                description = "SPARSE takes room on the disk as it is written; FULL reserves all of it at once.",
                defaultValue = "SPARSE")
        @Nullable
        Allocation allocation,

        @Schema(
                description = "Where the mapped section of the file begins, a multiple of 512.",
                minimum = "0",
                multipleOf = 512,
                defaultValue = "0")
        @Nullable
        Long offsetBytes,

        @Schema(
                description = "Length of the mapped section, a multiple of 512; 0 for the rest of the file.",
                minimum = "0",
                multipleOf = 512,
                defaultValue = "0")
        @Nullable
        Long sizeLimitBytes,

        @Schema(
                description =
                        "Logical sector size in bytes, a power of two from 512 to what the kernel takes (GET /host tells); the mapped section must be a multiple of it.",
                minimum = "512",
                defaultValue = "512")
        @Nullable
        Integer sectorSize,

        @Schema(description = "A device that cannot be written.", defaultValue = "false") @Nullable
        Boolean readOnly,

        @Schema(description = "Let the kernel look for partitions and make their nodes.", defaultValue = "false")
        @Nullable
        Boolean partScan,

        @Schema(
                description =
                        "Direct I/O to the image: OFF; PREFER takes it where it works; REQUIRE answers 409 direct-io-unavailable where it does not.",
                defaultValue = "OFF")
        @Nullable
        DirectIo directIo,

        @Schema(
                description =
                        "The lease to join, one of the same owner; without it the device gets a lease of its own. Then ttlSeconds and onExpiry are that lease's and must be left out.")
        @Nullable
        String leaseId,

        @Schema(
                description =
                        "Seconds that the device's own lease lives from now and from each renewal; the host's default when left out, within its limits (GET /host tells).",
                minimum = "1",
                example = "600")
        @Nullable
        Long ttlSeconds,

        @Schema(
                description =
                        "What is done when the lease ends and somebody still uses the device: UNMOUNT removes its users, then detaches and deletes; DETACH unmounts nothing, the kernel detaches at the last close, then the image is deleted.",
                defaultValue = "UNMOUNT")
        @Nullable
        OnExpiry onExpiry,

        @Schema(
                description =
                        "Short strings, for finding and for people. Keys: 1 to 63 letters, digits, '.', '_', '/' or '-', the first a letter or digit. Values: up to 255 characters. All together: up to 4,096.",
                maxProperties = 32,
                example = "{\"suite\": \"nightly\"}")
        @Nullable
        Map<String, String> labels) {

    /** What an empty body asks for. */
    static final CreateLoopDevice DEFAULT = new CreateLoopDevice(
            null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);

    private static final long MIB = 1024 * 1024;
    private static final long DEFAULT_MIB = 1024;

    /** @param limits those of the agent: of a size in MiB the domain would speak in bytes */
    LoopSpec toSpec(Limits limits) {
        long mostMib = limits.maxImageBytes().orElse(Long.MAX_VALUE) / MIB;
        Violations violations = new Violations();
        violations
                .require(sizeMb == null || sizeBytes == null, "sizeMb", "give sizeMb or sizeBytes, not both")
                .require(
                        sizeMb == null || (sizeMb > 0 && sizeMb <= mostMib),
                        "sizeMb",
                        "must be between 1 and " + mostMib
                                + (limits.maxImageBytes().isPresent() ? " MiB (looplease.max-image-size)" : " MiB")
                                + ", not " + sizeMb)
                .require(
                        sizeMb == null || !isTrue(reuseFile),
                        "sizeMb",
                        "must be left out with reuseFile: the device has the size of the file");
        OptionalInt number = OptionalInt.empty();
        if (name != null) {
            if (DeviceRef.parse(name) instanceof DeviceRef.Name wanted) {
                number = OptionalInt.of(wanted.number());
            } else {
                violations.require(
                        false, "name", "must be loop0 to loop" + LoopSpec.HIGHEST_NUMBER + ", without leading zeros");
            }
        }
        @Nullable Path path = null;
        if (imagePath != null) {
            try {
                path = Path.of(imagePath);
            } catch (InvalidPathException e) {
                violations.require(false, "imagePath", "must be a path of characters that a file's name can have");
            }
        }
        violations
                .require(imagePath == null || !imagePath.isEmpty(), "imagePath", JsonChecks.EMPTY)
                .require(JsonChecks.hasNoNulls(labels), "labels", "every value must be text, not null")
                .throwIfAny();
        return new LoopSpec(
                size(),
                number,
                path,
                imagePath != null && imagePath.endsWith("/"),
                isTrue(reuseFile),
                Objects.requireNonNullElse(allocation, Allocation.SPARSE),
                Objects.requireNonNullElse(offsetBytes, 0L),
                Objects.requireNonNullElse(sizeLimitBytes, 0L),
                Objects.requireNonNullElse(sectorSize, LoopSpec.SECTOR_BYTES),
                isTrue(readOnly),
                isTrue(partScan),
                Objects.requireNonNullElse(directIo, DirectIo.OFF),
                Objects.requireNonNullElse(labels, Map.of()));
    }

    private OptionalLong size() {
        if (sizeBytes != null) {
            return OptionalLong.of(sizeBytes);
        }
        if (isTrue(reuseFile)) {
            return OptionalLong.empty();
        }
        return OptionalLong.of((sizeMb == null ? DEFAULT_MIB : sizeMb) * MIB);
    }

    /** The field in which the client said what the domain calls so: a size may have come in MiB. */
    String asked(String field) {
        return field.equals("sizeBytes") && sizeMb != null ? "sizeMb" : field;
    }

    LeaseChoice toLease() {
        if (leaseId != null) {
            new Violations()
                    .require(!leaseId.isEmpty(), "leaseId", JsonChecks.EMPTY)
                    .require(ttlSeconds == null, "ttlSeconds", "must be left out with leaseId: it is that lease's")
                    .require(onExpiry == null, "onExpiry", "must be left out with leaseId: it is that lease's")
                    .throwIfAny();
            return new LeaseChoice.Existing(leaseId);
        }
        return new LeaseChoice.Own(new LeaseTerms(
                ttlSeconds == null ? OptionalLong.empty() : OptionalLong.of(ttlSeconds),
                OptionalLong.empty(),
                false,
                Objects.requireNonNullElse(onExpiry, OnExpiry.UNMOUNT),
                Map.of()));
    }

    /** As one of the devices that a lease is made with. */
    LoopSpec toMemberSpec(int index, Limits limits) {
        try {
            String message = "must be left out here: it is the lease's";
            new Violations()
                    .require(leaseId == null, "leaseId", message)
                    .require(ttlSeconds == null, "ttlSeconds", message)
                    .require(onExpiry == null, "onExpiry", message)
                    .throwIfAny();
            return toSpec(limits);
        } catch (LoopException.Invalid e) {
            throw e.within("devices[" + index + "]");
        }
    }

    private static boolean isTrue(@Nullable Boolean value) {
        return Boolean.TRUE.equals(value);
    }
}
