package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;
import java.util.List;

/**
 * A bound loop device as the kernel described it at one moment.
 *
 * @param node the loop device's own number; its minor is {@code number} only where the driver was loaded without
 *     {@code max_part}
 * @param sizeLimitBytes 0: to the end of the image
 * @param autoclear it will be detached when the last one closes it
 * @param diskSeq its generation number; 0 on kernels before 5.15
 * @param backingFile the image's path as the kernel knows it, without {@code " (deleted)"}. For people: it follows
 *     renames, and is cut at mount points inside containers
 * @param backingFileDeleted that path has been unlinked
 * @param backingDevice the filesystem of the image
 * @param backingInode the image's inode there
 * @param backingNode the block device whose node the image is; 0:0 of a file, and on older kernels its filesystem
 * @param partitions in the order of their numbers
 * @param tag what {@link Attachment#tag()} left in {@code lo_file_name}, or what another program keeps there; empty where
 *     the backend cannot read it
 */
public record LoopDevice(
        int number,
        DeviceNumber node,
        long sizeBytes,
        int sectorSize,
        long offsetBytes,
        long sizeLimitBytes,
        boolean readOnly,
        boolean directIo,
        boolean autoclear,
        boolean partScan,
        long diskSeq,
        String backingFile,
        boolean backingFileDeleted,
        DeviceNumber backingDevice,
        long backingInode,
        DeviceNumber backingNode,
        List<Partition> partitions,
        String tag) {

    public LoopDevice {
        partitions = List.copyOf(partitions);
    }

    /** Such as {@code loop7}. */
    public String name() {
        return "loop" + number;
    }

    /** Such as {@code /dev/loop7}. */
    public String path() {
        return "/dev/" + name();
    }

    public LoopIdentity identity() {
        return new LoopIdentity(number, diskSeq, backingDevice, backingInode);
    }
}
