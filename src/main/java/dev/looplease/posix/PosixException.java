package dev.looplease.posix;

import java.io.IOException;
import java.util.Map;

/** A system call that failed, with the errno that it left. */
public final class PosixException extends IOException {

    private static final long serialVersionUID = 1L;

    /** errno(3) by number; {@code asm-generic/errno-base.h} and {@code errno.h}, the same on x86-64 and aarch64. */
    private static final Map<Integer, String> NAMES = Map.ofEntries(
            Map.entry(1, "EPERM"),
            Map.entry(2, "ENOENT"),
            Map.entry(3, "ESRCH"),
            Map.entry(4, "EINTR"),
            Map.entry(5, "EIO"),
            Map.entry(6, "ENXIO"),
            Map.entry(9, "EBADF"),
            Map.entry(11, "EAGAIN"),
            Map.entry(12, "ENOMEM"),
            Map.entry(13, "EACCES"),
            Map.entry(14, "EFAULT"),
            Map.entry(16, "EBUSY"),
            Map.entry(17, "EEXIST"),
            Map.entry(18, "EXDEV"),
            Map.entry(19, "ENODEV"),
            Map.entry(20, "ENOTDIR"),
            Map.entry(21, "EISDIR"),
            Map.entry(22, "EINVAL"),
            Map.entry(23, "ENFILE"),
            Map.entry(24, "EMFILE"),
            Map.entry(25, "ENOTTY"),
            Map.entry(26, "ETXTBSY"),
            Map.entry(27, "EFBIG"),
            Map.entry(28, "ENOSPC"),
            Map.entry(29, "ESPIPE"),
            Map.entry(30, "EROFS"),
            Map.entry(31, "EMLINK"),
            Map.entry(36, "ENAMETOOLONG"),
            Map.entry(38, "ENOSYS"),
            Map.entry(40, "ELOOP"),
            Map.entry(75, "EOVERFLOW"),
            Map.entry(95, "EOPNOTSUPP"),
            Map.entry(117, "EUCLEAN"),
            Map.entry(122, "EDQUOT"));

    private final int errno;

    /**
     * @param call the system call and what it was asked, for people
     * @param errno the error number that it left
     */
    public PosixException(String call, int errno) {
        super(call + ": " + name(errno));
        this.errno = errno;
    }

    /** The error number, one of {@link Errno}'s or another. */
    public int errno() {
        return errno;
    }

    /** The symbolic name, {@code ENOSPC} for 28; {@code errno 133} for one that has no name here. */
    public String errnoName() {
        return name(errno);
    }

    private static String name(int errno) {
        return NAMES.getOrDefault(errno, "errno " + errno);
    }
}
