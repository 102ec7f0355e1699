package dev.looplease.api;

import io.swagger.v3.oas.annotations.media.Schema;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The host and what its agent can do. */
@Schema(name = "Host")
record HostView(
        @Schema(example = "lab-7") String hostName,
        @Schema(example = "6.18.44") String kernel,
        @Schema(example = "amd64") String architecture,

        @Schema(description = "How the agent speaks to the kernel: ioctl or losetup.", example = "ioctl")
        String backend,

        @Schema(description = "Of util-linux; null without it.", example = "2.38.1") @Nullable
        String losetupVersion,

        Limits limits,
        Capacity capacity,

        @Schema(description = "Null while not even a small device can be made to try; the health details say why.")
        @Nullable
        Capabilities capabilities) {

    /** What may be lent. */
    @Schema(name = "HostLimits")
    record Limits(
            @Schema(example = "10000") int maxDevices,

            @Schema(description = "The largest image; null for no limit.", example = "1099511627776") @Nullable
            Long maxImageBytes,

            @Schema(
                    description = "All images together, sparse ones in full; null for no limit.",
                    example = "1099511627776")
            @Nullable
            Long maxTotalBytes,

            @Schema(example = "3600") long defaultTtlSeconds,
            @Schema(example = "1") long minTtlSeconds,
            @Schema(example = "86400") long maxTtlSeconds,

            @Schema(description = "Whether a lease may have no end.", example = "false")
            boolean allowPermanent,

            @Schema(description = "How long nothing is reaped after the agent stalled.", example = "10")
            long graceSeconds) {}

    /** What is lent. */
    @Schema(name = "HostCapacity")
    record Capacity(
            @Schema(description = "Devices that are lent, detached ones included.", example = "3")
            int usedDevices,

            @Schema(example = "9997") int freeDevices,

            @Schema(description = "Size of all images together, sparse ones in full.", example = "201326592")
            long promisedBytes,

            @Schema(description = "Free on the images' filesystem.", example = "85899345920")
            long freeBytes,

            @Schema(description = "Size of the images' filesystem.", example = "274877906944")
            long totalBytes) {}

    /** What the kernel can do, found out by trying. */
    @Schema(name = "HostCapabilities")
    record Capabilities(
            @Schema(description = "Whether the kernel finds partitions by itself (partScan).")
            boolean partitionScan,

            @Schema(description = "Whether direct I/O to the images directory works.")
            boolean directIo,

            @Schema(description = "In bytes.", example = "65536")
            int largestSectorSize,

            @Schema(
                    description = "Filesystems that can be made here: those with a mkfs program.",
                    example = "[\"ext4\"]")
            List<String> filesystems) {}
}
