package dev.looplease.image;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directories that may hold images. Each is held open from the start: what is a root is decided once, and neither a
 * rename nor a symbolic link that comes later moves it.
 */
final class Roots implements Closeable {

    private static final Logger log = LoggerFactory.getLogger(Roots.class);

    /** PATH_MAX of {@code <linux/limits.h>} is 4096 with the closing NUL. */
    private static final int MAX_PATH_BYTES = 4095;

    private static final int MAX_NAME_BYTES = 255;

    private final List<Root> roots = new ArrayList<>();
    private final List<Path> closed;

    /** A root, its real path, and that path as the operator spelled it: perhaps over symbolic links. */
    private record Root(Fd directory, Path real, Path spelled) {}

    /**
     * @param directories the images directory first
     * @param closed files and directories that no client's path leads to, although they are in a root
     * @throws IllegalArgumentException when the images directory is one of those, or around one
     */
    Roots(List<Path> directories, List<Path> closed) throws IOException {
        try {
            this.closed = real(closed);
            for (Path directory : directories) {
                Path real = directory.toRealPath();
                if (real.getNameCount() == 0) {
                    log.warn("The whole filesystem is allowed for images: clients can lend out any file of this host");
                }
                if (roots.isEmpty()) {
                    requireApart(real);
                }
                roots.add(
                        new Root(Posix.open(real, Posix.O_PATH | Posix.O_DIRECTORY), real, directory.toAbsolutePath()));
            }
        } catch (IOException | RuntimeException e) {
            try (this) {
                throw e;
            }
        }
    }

    private static List<Path> real(List<Path> paths) throws IOException {
        List<Path> real = new ArrayList<>();
        for (Path path : paths) {
            real.add(path.toRealPath());
        }
        return real;
    }

    private void requireApart(Path images) {
        for (Path own : closed) {
            if (own.startsWith(images)) {
                throw new IllegalArgumentException(
                        "the directory " + images + " holds " + own + ", which is no image and must not become one");
            }
        }
    }

    /** The first of the roots itself. */
    Location first() {
        Root first = roots.getFirst();
        return new Location(first.directory(), first.real(), Path.of(""));
    }

    /** The place that a client's path means, in the innermost root around it. */
    Location locate(Path path) throws ImageException {
        check(path);
        Path innermost = Path.of("");
        Root root = null;
        for (Root candidate : roots) {
            for (Path start : List.of(candidate.real(), candidate.spelled())) {
                // Path compares by components: /data-old does not start with /data.
                if (path.startsWith(start) && (root == null || start.getNameCount() > innermost.getNameCount())) {
                    innermost = start;
                    root = candidate;
                }
            }
        }
        if (root == null) {
            throw new ImageException.OutsideRoots(path.toString(), null);
        }
        Location location = new Location(root.directory(), root.real(), innermost.relativize(path));
        if (isClosed(root, location.path())) {
            throw new ImageException.OutsideRoots(path.toString(), null);
        }
        return location;
    }

    /** Unless the operator has named a root inside of what is closed. */
    private boolean isClosed(Root root, Path real) {
        for (Path own : closed) {
            boolean meant = root.real().startsWith(own) && !root.real().equals(own);
            if (real.startsWith(own) && !meant) {
                return true;
            }
        }
        return false;
    }

    private static void check(Path path) throws ImageException {
        String text = path.toString();
        if (!path.isAbsolute()) {
            throw new ImageException.InvalidPath("be absolute");
        }
        if (text.codePoints().anyMatch(Roots::isUnseen)) {
            throw new ImageException.InvalidPath("not contain control or format characters");
        }
        if (text.getBytes(UTF_8).length > MAX_PATH_BYTES) {
            throw new ImageException.InvalidPath("have at most " + MAX_PATH_BYTES + " bytes");
        }
        for (Path component : path) {
            String name = component.toString();
            if (name.equals(".") || name.equals("..")) {
                throw new ImageException.InvalidPath("not contain . or .. as a component");
            }
            if (name.getBytes(UTF_8).length > MAX_NAME_BYTES) {
                throw new ImageException.InvalidPath("have at most " + MAX_NAME_BYTES + " bytes in each component");
            }
        }
    }

    /** What could make a path look like another one, or like two lines, to whoever reads it in a log. */
    private static boolean isUnseen(int character) {
        return switch (Character.getType(character)) {
            case Character.CONTROL, Character.FORMAT, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> true;
            default -> false;
        };
    }

    @Override
    public void close() throws IOException {
        for (Root root : roots) {
            root.directory().close();
        }
    }
}
