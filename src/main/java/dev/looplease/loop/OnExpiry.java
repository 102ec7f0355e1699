package dev.looplease.loop;

/** What is done to a device that is still in use when its lease ends. */
public enum OnExpiry {
    /** Its users are removed: mounts, swap, holders, partitions; then it is detached and its image deleted. */
    UNMOUNT,
    /** Nothing is unmounted: the kernel detaches at the last close, then the image is deleted. */
    DETACH
}
