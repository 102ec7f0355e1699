package dev.looplease.image;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.FileStat;
import java.nio.file.Path;

/**
 * An image by its identity. The path says where to look for it; device, inode and birth say whether what is found there
 * is it. The birth is needed because ext4 gives a deleted file's inode number to the next file at once.
 *
 * @param path absolute and without symbolic links, as the kernel reports a backing file
 * @param device the filesystem that holds it
 * @param inode its number there
 * @param birthNanos when the inode was made, since 1970; 0 where the filesystem does not know
 * @param sizeBytes its length when it was looked at; no part of its identity
 */
public record ImageFile(Path path, DeviceNumber device, long inode, long birthNanos, long sizeBytes) {

    public ImageFile {
        if (!path.isAbsolute()) {
            throw new IllegalArgumentException("path must be absolute: " + path);
        }
        if (sizeBytes < 0) {
            throw new IllegalArgumentException("sizeBytes must not be negative: " + sizeBytes);
        }
    }

    static ImageFile of(Path path, FileStat stat) {
        return new ImageFile(path, stat.device(), stat.inode(), stat.birthNanos(), stat.sizeBytes());
    }

    ImageFile withSize(long bytes) {
        return new ImageFile(path, device, inode, birthNanos, bytes);
    }

    boolean is(FileStat stat) {
        return stat.isRegularFile()
                && stat.inode() == inode
                && stat.device().equals(device)
                && stat.birthNanos() == birthNanos;
    }
}
