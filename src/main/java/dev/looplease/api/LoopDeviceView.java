package dev.looplease.api;

import dev.looplease.loop.LeaseSnapshot;
import dev.looplease.loop.LoopSnapshot;
import dev.looplease.loop.LoopState;
import dev.looplease.loop.OnExpiry;
import dev.looplease.loop.WallClock;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.Partition;
import dev.looplease.posix.DeviceNumber;
import io.swagger.v3.oas.annotations.media.Schema;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** A loop device, as clients see it. */
@Schema(
        name = "LoopDevice",
        description =
                "A loop device of the host. What the agent alone knows is null for a foreign one; what the kernel alone knows is null while the device is detached.")
record LoopDeviceView(
        @Schema(description = "Stable and never reused; null for a foreign device.", example = "k3v9x0q2m7adp1c8")
        @Nullable
        String id,

        @Schema(description = "The kernel's name; null while detached.", example = "loop7") @Nullable
        String name,

        @Schema(description = "The device node; null while detached.", example = "/dev/loop7") @Nullable
        String path,

        @Schema(description = "The node's major number; null while detached.", example = "7") @Nullable
        Integer major,

        @Schema(description = "The node's minor number; null while detached.", example = "7") @Nullable
        Integer minor,

        @Schema(
                description =
                        "READY: attached, as asked. DETACHED: its image is kept, the kernel's device is not. RELEASING: on its way out, waits for whoever holds it open. STUCK: its clean-up failed again and again, and is retried slowly. CREATING is never seen. Null for a foreign device.",
                example = "READY")
        @Nullable
        LoopState state,

        @Schema(
                description = "Whether this agent made it. A foreign device may be read, never changed.",
                example = "true")
        boolean managed,

        @Schema(description = "Size of the device; null while detached.", example = "67108864") @Nullable
        Long sizeBytes,

        @Schema(
                description = "Length of the image file; null for a foreign device, and where the file is gone.",
                example = "67108864")
        @Nullable
        Long imageSizeBytes,

        @Schema(description = "Logical sector size.", example = "512")
        int sectorSize,

        @Schema(description = "Where the mapped section of the file begins.", example = "0")
        long offsetBytes,

        @Schema(description = "Length of the mapped section; 0 for the rest of the file.", example = "0")
        long sizeLimitBytes,

        @Schema(description = "Whether it cannot be written.", example = "false")
        boolean readOnly,

        @Schema(
                description = "Whether the kernel bypasses the page cache for the image; false while detached.",
                example = "false")
        boolean directIo,

        @Schema(description = "Whether the kernel detaches it at the last close.", example = "false")
        boolean autoclear,

        @Schema(description = "Whether the kernel looks for partitions.", example = "false")
        boolean partScan,

        @Schema(description = "The partitions that the kernel knows, by number.", example = "[]")
        List<PartitionView> partitions,

        @Schema(
                description =
                        "The kernel's generation number: it rises at each attach and detach of this number. Null while detached.",
                example = "31310")
        @Nullable
        Long diskSeq,

        @Schema(
                description =
                        "The image file; a foreign device's as the kernel names it. Null where a user looks at what is not theirs.",
                example = "/var/lib/looplease/images/k3v9x0q2m7adp1c8.img")
        @Nullable
        String backingFile,

        @Schema(
                description =
                        "Whether the file has no name any more; of a detached device, whether it is not at its path.",
                example = "false")
        boolean backingFileDeleted,

        @Schema(description = "What the image occupies on the disk; null for a foreign device.", example = "0")
        @Nullable
        Long allocatedBytes,

        @Schema(
                description = "The name of the credential that it was made with; null for a foreign device.",
                example = "ci")
        @Nullable
        String owner,

        @Schema(
                description = "Empty for a foreign device, and where a user looks at what is not theirs.",
                example = "{\"suite\": \"nightly\"}")
        Map<String, String> labels,

        @Schema(description = "Null for a foreign device.") @Nullable
        Instant createTime,

        @Schema(description = "Null for a foreign device.") @Nullable
        DeviceLease lease) {

    /** A partition that the kernel knows. */
    @Schema(name = "Partition")
    record PartitionView(
            @Schema(example = "1") int number,
            @Schema(example = "loop7p1") String name,
            @Schema(example = "/dev/loop7p1") String path,
            @Schema(example = "259") int major,
            @Schema(example = "0") int minor,
            @Schema(example = "1048576") long startBytes,
            @Schema(example = "33554432") long sizeBytes) {

        static PartitionView of(Partition part) {
            return new PartitionView(
                    part.number(),
                    part.name(),
                    "/dev/" + part.name(),
                    part.node().major(),
                    part.node().minor(),
                    part.startBytes(),
                    part.sizeBytes());
        }
    }

    /** The lease that a device lives by, as far as it concerns the device. */
    @Schema(name = "DeviceLease", description = "The lease that the device lives by; all of it at /leases/{id}.")
    record DeviceLease(
            @Schema(example = "w7f0c2n4s8y1t5b9") String id,

            @Schema(description = "Null for a permanent lease, as the next three are.", example = "600") @Nullable
            Long ttlSeconds,

            @Nullable Instant expireTime,

            @Schema(example = "600") @Nullable Long expiresInSeconds,
            @Schema(example = "200") @Nullable BigDecimal renewAfterSeconds,

            @Schema(description = "Null when it can be renewed for ever.") @Nullable
            Instant maxExpireTime,

            @Schema(example = "UNMOUNT") OnExpiry onExpiry,
            @Schema(example = "ACTIVE") LeaseSnapshot.State state) {

        static DeviceLease of(LeaseView lease) {
            return new DeviceLease(
                    lease.id(),
                    lease.ttlSeconds(),
                    lease.expireTime(),
                    lease.expiresInSeconds(),
                    lease.renewAfterSeconds(),
                    lease.maxExpireTime(),
                    lease.onExpiry(),
                    lease.state());
        }
    }

    static LoopDeviceView of(LoopSnapshot snapshot, WallClock clock) {
        Optional<LoopSnapshot.Managed> managed = snapshot.managed();
        Optional<LoopDevice> device = snapshot.observed();
        return new LoopDeviceView(
                managed.map(LoopSnapshot.Managed::id).orElse(null),
                device.map(LoopDevice::name).orElse(null),
                device.map(LoopDevice::path).orElse(null),
                device.map(LoopDevice::node).map(DeviceNumber::major).orElse(null),
                device.map(LoopDevice::node).map(DeviceNumber::minor).orElse(null),
                managed.map(LoopSnapshot.Managed::state).orElse(null),
                managed.isPresent(),
                device.map(LoopDevice::sizeBytes).orElse(null),
                managed.map(LoopSnapshot.Managed::imageBytes).orElse(null),
                either(snapshot, LoopDevice::sectorSize, LoopSnapshot.Managed::sectorSize),
                either(snapshot, LoopDevice::offsetBytes, LoopSnapshot.Managed::offsetBytes),
                either(snapshot, LoopDevice::sizeLimitBytes, LoopSnapshot.Managed::sizeLimitBytes),
                either(snapshot, LoopDevice::readOnly, LoopSnapshot.Managed::readOnly),
                device.map(LoopDevice::directIo).orElse(false),
                device.map(LoopDevice::autoclear).orElse(false),
                either(snapshot, LoopDevice::partScan, LoopSnapshot.Managed::partScan),
                device.map(LoopDevice::partitions).orElse(List.of()).stream()
                        .map(PartitionView::of)
                        .toList(),
                device.map(LoopDevice::diskSeq).orElse(null),
                snapshot.backingFile().orElse(null),
                snapshot.backingFileDeleted(),
                managed.map(LoopSnapshot.Managed::allocatedBytes).orElse(null),
                managed.map(LoopSnapshot.Managed::owner).orElse(null),
                managed.map(LoopSnapshot.Managed::labels).orElse(Map.of()),
                managed.map(LoopSnapshot.Managed::createTime).orElse(null),
                managed.map(known -> DeviceLease.of(LeaseView.of(known.lease(), clock)))
                        .orElse(null));
    }

    /** What the kernel says, or what the agent knows while the kernel has no such device. */
    private static <T> T either(
            LoopSnapshot snapshot, Function<LoopDevice, T> observed, Function<LoopSnapshot.Managed, T> known) {
        return snapshot.observed()
                .map(observed)
                .or(() -> snapshot.managed().map(known))
                .orElseThrow();
    }
}
