package dev.looplease.posix;

/**
 * What statx(2) says of a file.
 *
 * @param device the filesystem that holds it
 * @param inode its inode number there; with {@code device} the only identity that survives a rename
 * @param mode type and permission bits, {@code st_mode}
 * @param owner whose it is, {@code st_uid}
 * @param links how many names it has
 * @param sizeBytes its length
 * @param allocatedBytes what it occupies on the disk, holes not counted
 * @param represents the device that it is the node of, where it is one; 0:0 otherwise
 * @param birthNanos when the inode was made, since 1970; 0 where the filesystem does not know. It tells a file from a
 *     later one that was given the same inode number, which ext4 does at once
 * @param changeNanos when the inode, its names' number or its contents last changed, since 1970. From Linux 6.13 on (ext4,
 *     xfs, btrfs, tmpfs) no change after a look at it leaves it as it was; before, one within the same few milliseconds may
 */
public record FileStat(
        DeviceNumber device,
        long inode,
        int mode,
        int owner,
        int links,
        long sizeBytes,
        long allocatedBytes,
        DeviceNumber represents,
        long birthNanos,
        long changeNanos) {

    private static final int S_IFMT = 0xF000;

    /** The lower twelve bits of the mode. */
    public int permissions() {
        return mode & 07777;
    }

    public boolean isRegularFile() {
        return (mode & S_IFMT) == 0x8000;
    }

    public boolean isDirectory() {
        return (mode & S_IFMT) == 0x4000;
    }

    boolean isSymbolicLink() {
        return (mode & S_IFMT) == 0xA000;
    }

    public boolean isBlockDevice() {
        return (mode & S_IFMT) == 0x6000;
    }
}
