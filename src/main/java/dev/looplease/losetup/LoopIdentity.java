package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;

/**
 * What tells one attachment from every other on this host since it was booted. A name is none: {@code loop7} may be
 * somebody else's a millisecond later; neither is a path, which follows renames.
 *
 * @param diskSeq the kernel's generation number, which rises on every attach and detach
 *     ({@code Documentation/ABI/stable/sysfs-block}); 0 on kernels before 5.15, which have none
 * @param backingDevice the filesystem of the image
 * @param backingInode the image's inode there
 */
public record LoopIdentity(int number, long diskSeq, DeviceNumber backingDevice, long backingInode) {}
