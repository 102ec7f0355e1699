package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.image.ImageFile;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.posix.DeviceNumber;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A device as the journal keeps it: plain JSON types, so that the format does not change with the classes.
 *
 * @param createTime milliseconds since 1970
 * @param bootId which run of the kernel {@code attachment} belongs to
 */
record DeviceRecord(
        String id,
        String owner,
        long createTime,
        Spec spec,
        LoopState state,
        boolean announced,
        @Nullable Image image,
        @Nullable Bound attachment,
        String bootId,
        int sectorSize,
        DirectIo directIo,
        Map<String, String> labels,
        String leaseId,
        long promisedBytes,
        @Nullable EndReason endReason,
        OnExpiry policy,
        @Nullable RequestKey key) {

    /** {@link LoopSpec}. */
    record Spec(
            @Nullable Long sizeBytes,
            @Nullable Integer number,
            @Nullable String imagePath,
            boolean reuseFile,
            Allocation allocation,
            long offsetBytes,
            long sizeLimitBytes,
            boolean readOnly,
            boolean partScan) {}

    /** {@link ImageFile}. */
    record Image(String path, String device, long inode, long birthNanos, long sizeBytes) {

        static @Nullable Image of(@Nullable ImageFile file) {
            return file == null
                    ? null
                    : new Image(
                            file.path().toString(),
                            file.device().toString(),
                            file.inode(),
                            file.birthNanos(),
                            file.sizeBytes());
        }

        ImageFile toFile() {
            return new ImageFile(Path.of(path), DeviceNumber.parse(device), inode, birthNanos, sizeBytes);
        }
    }

    /** {@link LoopIdentity}. */
    record Bound(int number, long diskSeq, String backingDevice, long backingInode) {

        static @Nullable Bound of(@Nullable LoopIdentity identity) {
            return identity == null
                    ? null
                    : new Bound(
                            identity.number(),
                            identity.diskSeq(),
                            identity.backingDevice().toString(),
                            identity.backingInode());
        }

        LoopIdentity toIdentity() {
            return new LoopIdentity(number, diskSeq, DeviceNumber.parse(backingDevice), backingInode);
        }
    }

    static DeviceRecord of(ManagedLoop loop, Standing standing, String bootId) {
        LoopSpec spec = loop.spec();
        return new DeviceRecord(
                loop.id(),
                loop.owner(),
                loop.createTime().toEpochMilli(),
                new Spec(
                        spec.sizeBytes().isPresent() ? spec.sizeBytes().getAsLong() : null,
                        spec.number().isPresent() ? spec.number().getAsInt() : null,
                        spec.imagePath() == null ? null : spec.imagePath().toString(),
                        spec.reuseFile(),
                        spec.allocation(),
                        spec.offsetBytes(),
                        spec.sizeLimitBytes(),
                        spec.readOnly(),
                        spec.partScan()),
                standing.state(),
                loop.wasAnnounced() || standing.state() == LoopState.READY,
                Image.of(standing.image()),
                Bound.of(standing.attachment()),
                bootId,
                standing.sectorSize(),
                standing.directIo(),
                standing.labels(),
                standing.lease().id(),
                standing.promisedBytes(),
                standing.endReason(),
                standing.policy(),
                loop.key());
    }

    /**
     * Makes sure that a record that was read means something.
     *
     * @throws NullPointerException where something is missing
     * @throws IllegalArgumentException where something cannot be
     * @throws LoopException.Invalid where no such device could have been asked for
     */
    DeviceRecord checked(String expectedId) {
        Stream.of(owner, state, bootId, directIo, labels, leaseId, policy).forEach(Objects::requireNonNull);
        if (!id.equals(expectedId)) {
            throw new IllegalArgumentException("it is the record of " + id);
        }
        toSpec();
        if (image != null) {
            image.toFile();
        }
        if (attachment != null) {
            attachment.toIdentity();
        }
        return this;
    }

    /** The spec that the device was made by, with what was changed since. */
    LoopSpec toSpec() {
        return new LoopSpec(
                spec.sizeBytes() == null ? OptionalLong.empty() : OptionalLong.of(spec.sizeBytes()),
                spec.number() == null ? OptionalInt.empty() : OptionalInt.of(spec.number()),
                spec.imagePath() == null ? null : Path.of(spec.imagePath()),
                false,
                spec.reuseFile(),
                spec.allocation(),
                spec.offsetBytes(),
                spec.sizeLimitBytes(),
                LoopSpec.SECTOR_BYTES,
                spec.readOnly(),
                spec.partScan(),
                directIo,
                labels);
    }

    Standing toStanding(Lease lease) {
        return new Standing(
                state,
                image == null ? null : image.toFile(),
                attachment == null ? null : attachment.toIdentity(),
                sectorSize,
                directIo,
                Map.copyOf(labels),
                lease,
                promisedBytes,
                endReason,
                policy);
    }

    Instant created() {
        return Instant.ofEpochMilli(createTime);
    }
}
