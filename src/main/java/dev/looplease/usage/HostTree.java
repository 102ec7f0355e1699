package dev.looplease.usage;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@code /proc}, {@code /sys} and {@code /dev}: the host's, or a recorded tree's. */
record HostTree(Path proc, Path sys, Path dev) {

    static final HostTree REAL = new HostTree(Path.of("/proc"), Path.of("/sys"), Path.of("/dev"));

    /** A file's contents; the kernel's files have no length and no encoding. */
    static byte[] read(Path file) throws IOException {
        try (Fd fd = Posix.open(file, Posix.O_RDONLY)) {
            return Posix.readAll(fd);
        }
    }

    /** A one-line file without its line end; null when there is none, because what it belongs to is gone. */
    static @Nullable String line(Path file) throws IOException {
        try {
            return utf8(read(file)).stripTrailing();
        } catch (PosixException e) {
            if (gone(e)) {
                return null;
            }
            throw e;
        }
    }

    /** The names in a directory, sorted; none when it is gone. */
    static List<String> names(Path directory) throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            entries.forEach(entry -> names.add(entry.getFileName().toString()));
        } catch (NoSuchFileException | NotDirectoryException e) {
            return List.of();
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        Collections.sort(names);
        return names;
    }

    /** The kernel writes paths below {@code /dev}; a recorded tree has its own. */
    Path resolve(String path) {
        return path.startsWith("/dev/") ? dev.resolve(path.substring(5)) : Path.of(path);
    }

    Path node(String name) {
        return dev.resolve(name);
    }

    Path process(long pid, String file) {
        return proc.resolve(Long.toString(pid)).resolve(file);
    }

    Path block(String name) {
        return sys.resolve("block").resolve(name);
    }

    /**
     * A process that ended, or a device that was removed, while it was read. A zombie has no mount namespace any more:
     * its mountinfo is EINVAL ({@code fs/proc_namespace.c}).
     */
    static boolean gone(PosixException e) {
        return switch (e.errno()) {
            case Errno.ENOENT, Errno.ESRCH, Errno.EINVAL, Errno.ENODEV, Errno.ENXIO, Errno.ENOTDIR -> true;
            default -> false;
        };
    }

    static boolean denied(PosixException e) {
        return e.errno() == Errno.EACCES || e.errno() == Errno.EPERM;
    }

    static String utf8(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
