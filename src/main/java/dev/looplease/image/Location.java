package dev.looplease.image;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;

/**
 * Where a path leads beneath a root, before anybody has looked whether something is there.
 *
 * @param root the held directory that the walk starts from
 * @param rootPath that directory's own path
 * @param relative the way from there; empty for the root itself
 */
record Location(Fd root, Path rootPath, Path relative) {

    private static final Set<Integer> LEADS_NOWHERE = Set.of(Errno.ENOENT, Errno.ENOTDIR, Errno.ELOOP);

    Path path() {
        return rootPath.resolve(relative);
    }

    String name() {
        return relative.getFileName().toString();
    }

    Location resolve(String name) {
        return new Location(root, rootPath, relative.resolve(name));
    }

    /** Pins what stands here without opening it: no effect on a device, no waiting for a FIFO's other end. */
    Fd pin() throws IOException {
        return openat(relative, Posix.O_PATH);
    }

    /** What stands here; a symbolic link is told as itself at the end, and refused before. */
    FileStat stat() throws IOException {
        try (Fd parent = holdParent()) {
            return Posix.lstatAt(parent, name());
        }
    }

    /** Holds the directory that this place is in, so that it stays the same one while it is worked in. */
    Fd holdParent() throws IOException {
        Path parent = relative.getParent();
        return parent == null ? root.borrowed() : openat(parent, Posix.O_PATH | Posix.O_DIRECTORY);
    }

    /** The nearest directory above this place that there is; the root at the latest. */
    FileStat nearest() throws IOException {
        for (Path above = relative.getParent(); above != null; above = above.getParent()) {
            try (Fd directory = openat(above, Posix.O_PATH | Posix.O_DIRECTORY)) {
                return Posix.stat(directory);
            } catch (PosixException e) {
                if (!LEADS_NOWHERE.contains(e.errno())) {
                    throw e;
                }
            }
        }
        return Posix.stat(root);
    }

    private Fd openat(Path way, int flags) throws IOException {
        String text = way.toString();
        return Posix.openBeneath(root, text.isEmpty() ? "." : text, flags, 0);
    }
}
