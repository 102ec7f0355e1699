package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** The name in {@code loop/backing_file}. */
record BackingFile(String path, boolean deleted) {

    private static final String DELETED = " (deleted)";

    /**
     * Takes the kernel's text apart. d_path() appends {@value #DELETED} to the name of an unlinked file, but a living
     * file may be called that too: it is living if that whole name leads to the image.
     */
    static BackingFile of(String kernelText, DeviceNumber device, long inode) {
        if (!kernelText.endsWith(DELETED) || leadsTo(kernelText, device, inode)) {
            return new BackingFile(kernelText, false);
        }
        return new BackingFile(kernelText.substring(0, kernelText.length() - DELETED.length()), true);
    }

    /** Whether that name leads to that file, as this process sees the file system. */
    static boolean leadsTo(String path, DeviceNumber device, long inode) {
        try {
            FileStat found = Posix.lstat(Path.of(path));
            return found.inode() == inode && found.device().equals(device);
        } catch (IOException | InvalidPathException e) {
            // No such name, or none that can be asked for: it leads nowhere.
            return false;
        }
    }
}
