package dev.looplease.image;

import dev.looplease.posix.Errno;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Why an image could not be had. The message is one sentence for the client; of the host's layout it says no more than
 * the path that the client gave, or the file's bare name. The cause, where there is one, is for the log.
 */
public abstract sealed class ImageException extends IOException {

    private static final long serialVersionUID = 1L;

    private ImageException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    /** Names the failure of a system call. {@code shown} is how the client knows the file. */
    static ImageException of(String shown, IOException failure) {
        return switch (failure) {
            case ImageException named -> named;
            case PosixException posix ->
                switch (posix.errno()) {
                    case Errno.ENOENT, Errno.ENOTDIR -> new NotFound(shown, posix);
                    case Errno.ELOOP -> new Symlink(shown, posix);
                    case Errno.EXDEV -> new OutsideRoots(shown, posix);
                    case Errno.EEXIST -> new Exists(shown, true, posix);
                    case Errno.ENOSPC, Errno.EDQUOT -> new NoSpace(shown, posix);
                    case Errno.EFBIG -> new TooLarge(shown, posix);
                    default -> new Failed(shown, posix);
                };
            // The posix room throws nothing else.
            default -> throw new UncheckedIOException(failure);
        };
    }

    /** The same of a place that the client has just named, so that what the system forbids there is the client's to mend. */
    static ImageException ofNamed(String shown, IOException failure) {
        return failure instanceof PosixException posix
                        && Set.of(Errno.EACCES, Errno.EPERM, Errno.EROFS, Errno.ETXTBSY)
                                .contains(posix.errno())
                ? new Forbidden(shown, posix)
                : of(shown, failure);
    }

    /** The path can name no image: relative, with {@code .} or {@code ..}, with control characters, or too long. */
    public static final class InvalidPath extends ImageException {
        InvalidPath(String requirement) {
            super("An image's path must " + requirement + ".", null);
        }
    }

    /** The path lies in none of the directories that are allowed. */
    public static final class OutsideRoots extends ImageException {
        OutsideRoots(String shown, @Nullable Throwable cause) {
            super(shown + " is outside the directories that are allowed for images.", cause);
        }
    }

    /** The file, or the directory that should hold it, is missing. */
    public static final class NotFound extends ImageException {
        NotFound(String shown, @Nullable Throwable cause) {
            super(shown + ", or a directory on the way to it, does not exist.", cause);
        }
    }

    /** A directory, a FIFO, a socket, a device, or a kernel interface such as a file of {@code /proc}. */
    public static final class NotAFile extends ImageException {
        NotAFile(String shown) {
            super(shown + " is not a regular file.", null);
        }
    }

    /** The path leads over a symbolic link. */
    public static final class Symlink extends ImageException {
        Symlink(String shown, @Nullable Throwable cause) {
            super(shown + " leads over a symbolic link, and these are not followed.", cause);
        }
    }

    /** The file has a second name, perhaps one outside the roots. */
    public static final class HardLinked extends ImageException {
        HardLinked(String shown) {
            super(shown + " has several hard links, so it may be somebody else's file.", null);
        }
    }

    /** Something stands where a new image should be made; it was not touched. */
    public static final class Exists extends ImageException {

        private final boolean file;

        Exists(String shown, boolean file, @Nullable Throwable cause) {
            super(shown + " exists already" + (file ? "." : ", and is no regular file."), cause);
            this.file = file;
        }

        /** Whether it may be a regular file; else it is a FIFO, a socket or a device. */
        public boolean isFile() {
            return file;
        }
    }

    /** The filesystem, or a quota on it, has not that much left. */
    public static final class NoSpace extends ImageException {
        NoSpace(String shown, @Nullable Throwable cause) {
            super("There is not enough free space for " + shown + ".", cause);
        }
    }

    /** The filesystem cannot hold a file of that size, however empty it is. */
    public static final class TooLarge extends ImageException {
        TooLarge(String shown, @Nullable Throwable cause) {
            super(shown + " would be larger than its filesystem allows a file to be.", cause);
        }
    }

    /** Something stands at the image's path, but it is not that image. */
    public static final class Replaced extends ImageException {
        Replaced(String shown, @Nullable Throwable cause) {
            super(shown + " is no longer the file that it was.", cause);
        }
    }

    /** The path should lead to a directory, and does not. */
    public static final class NotADirectory extends ImageException {
        NotADirectory(String shown) {
            super(shown + " is not a directory.", null);
        }
    }

    /** The system lets the agent not work in the place that a client has named: the client's choice, no fault of the agent's. */
    public static final class Forbidden extends ImageException {

        Forbidden(String shown, PosixException refusal) {
            super(
                    "The agent may not use " + shown + " (" + refusal.errnoName() + "): " + advice(refusal.errno()),
                    refusal);
        }

        private static String advice(int errno) {
            return switch (errno) {
                case Errno.EROFS ->
                    "its filesystem is read-only. A file that is there already can be attached with readOnly.";
                case Errno.ETXTBSY -> "it is in use as a program or as swap. It can be attached with readOnly.";
                case Errno.EPERM ->
                    "its attributes (immutable, append-only) forbid it. Take these away, or choose another place.";
                default ->
                    "give the agent's user the rights to it and to the directories above it, or the agent the"
                            + " capability DAC_OVERRIDE.";
            };
        }
    }

    /** Any other failure of the kernel. */
    public static final class Failed extends ImageException {

        private final String errnoName;

        Failed(String shown, PosixException cause) {
            super("The system refused to work on " + shown + ": " + cause.errnoName() + ".", cause);
            this.errnoName = cause.errnoName();
        }

        /** {@code EROFS}, {@code EACCES}, {@code EIO}, … */
        public String errnoName() {
            return errnoName;
        }
    }
}
