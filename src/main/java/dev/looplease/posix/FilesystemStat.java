package dev.looplease.posix;

/**
 * What statfs(2) says of a filesystem.
 *
 * @param type its magic number, {@code <linux/magic.h>}
 * @param totalBytes what it can hold; 0 where it counts no blocks: kernel interfaces such as {@code /proc}, but an
 *     unlimited tmpfs too
 * @param availableBytes what is free for everybody, without the blocks that ext4 keeps for root
 */
public record FilesystemStat(long type, long totalBytes, long availableBytes) {

    private static final long TMPFS_MAGIC = 0x01021994L;
    private static final long RAMFS_MAGIC = 0x858458f6L;
    private static final long FUSE_SUPER_MAGIC = 0x65735546L;
    private static final long OVERLAYFS_SUPER_MAGIC = 0x794c7630L;

    /**
     * Whether its regular files are data that somebody stored, and not windows into the kernel: those of {@code /proc}
     * and {@code /sys} pass for regular files, and opening one can have effects. As in df(1), a filesystem without any
     * blocks stores nothing; except in memory without a limit, or in user space by a server that does not count.
     */
    public boolean storesFiles() {
        return totalBytes != 0 || type == TMPFS_MAGIC || type == RAMFS_MAGIC || type == FUSE_SUPER_MAGIC;
    }

    /** Whether its files may have other device numbers than its directories: Documentation/filesystems/overlayfs.rst. */
    public boolean isOverlay() {
        return type == OVERLAYFS_SUPER_MAGIC;
    }
}
