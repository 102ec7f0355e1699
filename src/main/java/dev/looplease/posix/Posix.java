package dev.looplease.posix;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.file.Path;

/**
 * System calls, each as its man page (section 2) has it; a failure is a {@link PosixException}. Every descriptor is
 * opened close-on-exec, so that no child process can keep a device or an image open behind our back.
 */
public final class Posix {

    public static final int O_RDONLY = 0;
    public static final int O_WRONLY = 1;
    public static final int O_RDWR = 2;
    public static final int O_CREAT = 0x40;
    /** With a block device and without {@link #O_CREAT}: fails with EBUSY while somebody holds it exclusively. */
    public static final int O_EXCL = 0x80;

    public static final int O_NONBLOCK = 0x800;
    public static final int O_PATH = 0x200000;
    /** aarch64 swaps the two: {@code arch/arm64/include/uapi/asm/fcntl.h}. */
    public static final int O_DIRECTORY = isAarch64() ? 0x4000 : 0x10000;

    public static final int O_NOFOLLOW = isAarch64() ? 0x8000 : 0x20000;
    /** A file without a name in the directory that is opened; open(2). Includes {@link #O_DIRECTORY}. */
    public static final int O_TMPFILE = 0x400000 | O_DIRECTORY;

    private static final int O_CLOEXEC = 0x80000;

    /** {@code mount.h}: lets the mount go at once for new users, and for good when the last one inside has left. */
    public static final int MNT_DETACH = 2;
    /** {@code mount.h}: a symbolic link at the path's end is not followed. */
    public static final int UMOUNT_NOFOLLOW = 8;

    private static final int AT_FDCWD = -100;
    private static final int AT_SYMLINK_NOFOLLOW = 0x100;
    private static final int AT_NO_AUTOMOUNT = 0x800;
    private static final int AT_SYMLINK_FOLLOW = 0x400;
    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int AT_STATX_DONT_SYNC = 0x4000;
    private static final int STATX_BASIC_STATS = 0x7ff;
    private static final int STATX_BTIME = 0x800;
    private static final int STATX_MNT_ID = 0x1000;
    private static final int CLONE_FS = 0x200;
    private static final int CLONE_NEWNS = 0x20000;
    private static final int PATH_MAX = 4096;
    private static final int S_IFBLK = 0x6000;
    private static final int FALLOC_FL_KEEP_SIZE = 0x01;
    private static final int LOCK_EX = 2;
    private static final int LOCK_NB = 4;
    private static final int CLOCK_BOOTTIME = 7;
    /** openat2(2), kernel 5.6; the generic number, the same on x86-64 and aarch64. */
    private static final long SYS_OPENAT2 = 437;

    private static final long RESOLVE_NO_MAGICLINKS = 0x02;
    private static final long RESOLVE_NO_SYMLINKS = 0x04;
    private static final long RESOLVE_BENEATH = 0x08;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
    private static final StructLayout CALL_STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO_VALUE = CALL_STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private static final MethodHandle OPENAT =
            call("openat", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT), 3);
    private static final MethodHandle OPENAT2 =
            call("syscall", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG), 1);
    private static final MethodHandle CLOSE = call("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    private static final MethodHandle STATX =
            call("statx", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS));
    private static final MethodHandle FTRUNCATE =
            call("ftruncate", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG));
    private static final MethodHandle FCHMOD = call("fchmod", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
    private static final MethodHandle FSTATFS = call("fstatfs", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
    private static final MethodHandle FALLOCATE =
            call("fallocate", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
    private static final MethodHandle FSYNC = call("fsync", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    private static final MethodHandle PWRITE =
            call("pwrite", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
    private static final MethodHandle FLOCK = call("flock", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
    private static final MethodHandle LINKAT =
            call("linkat", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS, JAVA_INT));
    private static final MethodHandle UNLINKAT =
            call("unlinkat", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT));
    private static final MethodHandle MKNOD =
            call("mknod", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG));
    private static final MethodHandle IOCTL_LONG =
            call("ioctl", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG), 2);
    private static final MethodHandle IOCTL_POINTER =
            call("ioctl", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS), 2);
    private static final MethodHandle CLOCK_GETTIME =
            call("clock_gettime", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
    private static final MethodHandle READ =
            call("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    private static final MethodHandle READLINK =
            call("readlink", FunctionDescriptor.of(JAVA_LONG, ADDRESS, ADDRESS, JAVA_LONG));
    private static final MethodHandle CHDIR = call("chdir", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    private static final MethodHandle UMOUNT2 = call("umount2", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
    private static final MethodHandle SWAPOFF = call("swapoff", FunctionDescriptor.of(JAVA_INT, ADDRESS));
    private static final MethodHandle UNSHARE = call("unshare", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    private static final MethodHandle GETEUID = call("geteuid", FunctionDescriptor.of(JAVA_INT));
    private static final MethodHandle SETNS = call("setns", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));

    private Posix() {}

    /**
     * Opens {@code path}, close-on-exec.
     *
     * @param flags {@code O_…} of this class
     * @param mode permission bits for a file that {@link #O_CREAT} makes, before the umask
     */
    public static Fd open(Path path, int flags, int mode) throws IOException {
        return openat(AT_FDCWD, path.toString(), flags, mode);
    }

    /** The same for a file that must exist. */
    public static Fd open(Path path, int flags) throws IOException {
        return open(path, flags, 0);
    }

    private static Fd openat(int directory, String path, int flags, int mode) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment name = arena.allocateFrom(path);
            int fd = (int) OPENAT.invokeExact(state, directory, name, flags | O_CLOEXEC, mode);
            if (fd < 0) {
                throw failure("open " + path, state);
            }
            return new Fd(fd);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Opens {@code relative} below {@code directory} and nowhere else: no {@code ..} that leaves it, no symbolic link in
     * any component, whoever swaps components meanwhile; openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. ELOOP
     * is a symbolic link, EXDEV a path that leaves.
     */
    public static Fd openBeneath(Fd directory, String relative, int flags, int mode) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment how = arena.allocate(24, 8);
            how.set(JAVA_LONG, 0, flags | O_CLOEXEC);
            how.set(JAVA_LONG, 8, mode);
            how.set(JAVA_LONG, 16, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
            long fd = (long) OPENAT2.invokeExact(
                    state, SYS_OPENAT2, directory.number(), arena.allocateFrom(relative), how, how.byteSize());
            if (fd < 0 && errno(state) == Errno.ENOSYS) {
                return walkBeneath(directory, relative, flags, mode);
            }
            if (fd < 0) {
                throw failure("open " + relative, state);
            }
            return new Fd((int) fd);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * The same by hand, a component at a time, each held while the next is opened in it. For where a seccomp filter hides
     * openat2(2): it cannot look into the call's arguments, so systemd's RestrictSUIDSGID= hides it.
     */
    static Fd walkBeneath(Fd directory, String relative, int flags, int mode) throws IOException {
        int slash = relative.indexOf('/');
        String name = slash < 0 ? relative : relative.substring(0, slash);
        if (name.isEmpty() || name.equals("..")) {
            throw new PosixException("open " + relative, Errno.EXDEV);
        }
        if (slash < 0) {
            return openNoLink(directory, name, flags, mode);
        }
        try (Fd next = openNoLink(directory, name, O_PATH | O_DIRECTORY, 0)) {
            return walkBeneath(next, relative.substring(slash + 1), flags, mode);
        }
    }

    private static Fd openNoLink(Fd directory, String name, int flags, int mode) throws IOException {
        Fd fd;
        try {
            fd = openat(directory.number(), name, flags | O_NOFOLLOW, mode);
        } catch (PosixException e) {
            // What O_DIRECTORY says of a link.
            boolean link =
                    e.errno() == Errno.ENOTDIR && lstatAt(directory, name).isSymbolicLink();
            throw link ? new PosixException("open " + name, Errno.ELOOP) : e;
        }
        // O_PATH opens the link itself.
        if ((flags & O_PATH) != 0 && stat(fd).isSymbolicLink()) {
            fd.close();
            throw new PosixException("open " + name, Errno.ELOOP);
        }
        return fd;
    }

    static void close(int fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            int result = (int) CLOSE.invokeExact(state, fd);
            // Linux has released the descriptor even when close(2) fails with EINTR; closing again would hit a
            // stranger's.
            if (result < 0 && errno(state) != Errno.EINTR) {
                throw failure("close", state);
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** What stands behind an open descriptor. */
    public static FileStat stat(Fd fd) throws IOException {
        return statx(fd.number(), "", AT_EMPTY_PATH);
    }

    /** What stands at {@code path}, a symbolic link at its end not followed. */
    public static FileStat lstat(Path path) throws IOException {
        return statx(AT_FDCWD, path.toString(), AT_SYMLINK_NOFOLLOW);
    }

    /** What stands at {@code path}, links followed, the magic ones below {@code /proc} too. */
    public static FileStat stat(Path path) throws IOException {
        return statx(AT_FDCWD, path.toString(), 0);
    }

    /**
     * The same from what the kernel has at hand: no automount is triggered and no server asked, so that the sizes and
     * times of a network filesystem may be old ones. NFS still asks its server where a magic link leads to it.
     */
    public static FileStat peek(Path path) throws IOException {
        return statx(AT_FDCWD, path.toString(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT);
    }

    /** What stands at {@code name} in an open directory, a symbolic link not followed. */
    public static FileStat lstatAt(Fd directory, String name) throws IOException {
        return statx(directory.number(), name, AT_SYMLINK_NOFOLLOW);
    }

    /** What stands at {@code relative} below an open directory, links followed. */
    public static FileStat statAt(Fd directory, String relative) throws IOException {
        return statx(directory.number(), relative, 0);
    }

    /** Whether anything stands there; asked of what may well be missing, this costs no exception. */
    public static boolean existsAt(Fd directory, String relative) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(256, 8);
            int result = (int) STATX.invokeExact(state, directory.number(), arena.allocateFrom(relative), 0, 0, buffer);
            if (result < 0 && errno(state) != Errno.ENOENT && errno(state) != Errno.ENOTDIR) {
                throw failure("stat " + relative, state);
            }
            return result == 0;
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Offsets are those of {@code struct statx} in {@code <linux/stat.h>}. */
    private static FileStat statx(int directory, String path, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(256, 8);
            int result = (int) STATX.invokeExact(
                    state, directory, arena.allocateFrom(path), flags, STATX_BASIC_STATS | STATX_BTIME, buffer);
            if (result < 0) {
                throw failure("stat " + path, state);
            }
            boolean knowsBirth = (buffer.get(JAVA_INT, 0) & STATX_BTIME) != 0;
            return new FileStat(
                    new DeviceNumber(buffer.get(JAVA_INT, 136), buffer.get(JAVA_INT, 140)),
                    buffer.get(JAVA_LONG, 32),
                    Short.toUnsignedInt(buffer.get(JAVA_SHORT, 28)),
                    buffer.get(JAVA_INT, 20),
                    buffer.get(JAVA_INT, 16),
                    buffer.get(JAVA_LONG, 40),
                    buffer.get(JAVA_LONG, 48) * 512,
                    new DeviceNumber(buffer.get(JAVA_INT, 128), buffer.get(JAVA_INT, 132)),
                    knowsBirth ? buffer.get(JAVA_LONG, 80) * 1_000_000_000L + buffer.get(JAVA_INT, 88) : 0,
                    buffer.get(JAVA_LONG, 96) * 1_000_000_000L + buffer.get(JAVA_INT, 104));
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** The filesystem that holds an open file; offsets are those of {@code struct statfs} in {@code <asm-generic/statfs.h>}. */
    public static FilesystemStat statfs(Fd fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(120, 8);
            check("fstatfs", (int) FSTATFS.invokeExact(state, fd.number(), buffer), state);
            // Blocks are counted in fragments, as statvfs(3) has it; on FUSE the two sizes differ.
            long fragment = buffer.get(JAVA_LONG, 72);
            long unit = fragment != 0 ? fragment : buffer.get(JAVA_LONG, 8);
            return new FilesystemStat(
                    buffer.get(JAVA_LONG, 0), buffer.get(JAVA_LONG, 16) * unit, buffer.get(JAVA_LONG, 32) * unit);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Sets a file's permission bits, whatever the umask. */
    public static void fchmod(Fd fd, int mode) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("fchmod", (int) FCHMOD.invokeExact(state, fd.number(), mode), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * The mount that {@code path} leads to, by the number that begins its line in {@code /proc/PID/mountinfo}: the topmost
     * where several are stacked. A symbolic link at the end is not followed. Since Linux 5.8.
     *
     * @param path as the kernel has it, in any encoding, without a NUL
     */
    public static long mountId(byte[] path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(256, 8);
            int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
            int result = (int) STATX.invokeExact(state, AT_FDCWD, text(arena, path), flags, STATX_MNT_ID, buffer);
            check("stat", result, state);
            if ((buffer.get(JAVA_INT, 0) & STATX_MNT_ID) == 0) {
                throw new PosixException("stat for a mount's id", Errno.ENOSYS);
            }
            return buffer.get(JAVA_LONG, 144);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** What a symbolic link says, as the kernel has it, in any encoding. EINVAL where there is no link. */
    public static byte[] readlink(Path path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(PATH_MAX);
            MemorySegment name = arena.allocateFrom(path.toString());
            long length = (long) READLINK.invokeExact(state, name, buffer, buffer.byteSize());
            if (length < 0) {
                throw failure("readlink " + path, state);
            }
            return buffer.asSlice(0, length).toArray(JAVA_BYTE);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * A file of sysfs, below an open directory; it gives all of its text, less than a page, to the first read(2): three
     * calls instead of the five and more of {@link java.nio.file.Files}.
     */
    public static byte[] readAttribute(Fd directory, String path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment name = arena.allocateFrom(path);
            int fd = (int) OPENAT.invokeExact(state, directory.number(), name, O_RDONLY | O_CLOEXEC, 0);
            if (fd < 0) {
                throw failure("open " + path, state);
            }
            MemorySegment buffer = arena.allocate(PATH_MAX);
            long length = (long) READ.invokeExact(state, fd, buffer, buffer.byteSize());
            int errno = length < 0 ? errno(state) : 0;
            int closed = (int) CLOSE.invokeExact(state, fd);
            if (length < 0) {
                throw new PosixException("read " + path, errno);
            }
            check("close", closed, state);
            return buffer.asSlice(0, length).toArray(JAVA_BYTE);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Everything from the descriptor's position to its end. The files of {@code /proc} do not say how long they are. */
    public static byte[] readAll(Fd fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment buffer = arena.allocate(1 << 16);
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            while (true) {
                long length = (long) READ.invokeExact(state, fd.number(), buffer, buffer.byteSize());
                if (length == 0) {
                    return all.toByteArray();
                }
                if (length > 0) {
                    all.writeBytes(buffer.asSlice(0, length).toArray(JAVA_BYTE));
                } else if (errno(state) != Errno.EINTR) {
                    throw failure("read", state);
                }
            }
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Ends the mount at {@code path}.
     *
     * @param path as the kernel has it, in any encoding, without a NUL
     * @param flags {@link #MNT_DETACH}, {@link #UMOUNT_NOFOLLOW}
     */
    public static void umount(byte[] path, int flags) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("umount", (int) UMOUNT2.invokeExact(state, text(arena, path), flags), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Stops swapping to a file or device, and returns when all that lay there is back in memory. */
    public static void swapoff(byte[] path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("swapoff", (int) SWAPOFF.invokeExact(state, text(arena, path)), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Gives the calling thread a root and a working directory of its own: {@link #chdir} and {@link #enterMountNamespace}
     * then concern it alone. For a platform thread that ends afterwards; threads that it starts inherit what it has.
     */
    public static void unshareDirectories() throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("unshare", (int) UNSHARE.invokeExact(state, CLONE_FS), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Moves the calling thread to the root of another mount namespace; setns(2).
     *
     * @param namespace an open {@code /proc/PID/ns/mnt}
     */
    public static void enterMountNamespace(Fd namespace) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("setns", (int) SETNS.invokeExact(state, namespace.number(), CLONE_NEWNS), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Changes the working directory: of all threads but those that called {@link #unshareDirectories}. */
    public static void chdir(byte[] path) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("chdir", (int) CHDIR.invokeExact(state, text(arena, path)), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Sets a file's length; what is added reads as zeros and occupies nothing. */
    public static void ftruncate(Fd fd, long sizeBytes) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("ftruncate", (int) FTRUNCATE.invokeExact(state, fd.number(), sizeBytes), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Reserves disk space for a range, and extends the file to its end where it is shorter. ENOSPC where there is none. */
    public static void fallocate(Fd fd, long offset, long length) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("fallocate", (int) FALLOCATE.invokeExact(state, fd.number(), 0, offset, length), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Reserves disk space for a range and leaves the file's length alone, though the range lie beyond it. ENOSPC where
     * there is none, EOPNOTSUPP where the filesystem cannot.
     */
    public static void reserve(Fd fd, long offset, long length) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check(
                    "fallocate",
                    (int) FALLOCATE.invokeExact(state, fd.number(), FALLOC_FL_KEEP_SIZE, offset, length),
                    state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Writes native memory at an offset of the file. Unlike a FileChannel it keeps the errno, and an interrupt of the
     * calling thread does not close the file for everybody.
     *
     * @return how many bytes were written: fewer than were given when the disk filled up on the way
     */
    public static long pwrite(Fd fd, MemorySegment bytes, long offset) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            long written = (long) PWRITE.invokeExact(state, fd.number(), bytes, bytes.byteSize(), offset);
            if (written < 0) {
                throw failure("write", state);
            }
            return written;
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * Locks the open file exclusively, without waiting; flock(2). The lock ends when the descriptor is closed or the
     * process dies. It belongs to this open file alone: a fcntl lock, which the JDK's FileLock is, would be lost as soon
     * as anybody in the process opened the same file and closed it again.
     *
     * @return false when another open file holds the lock, in this process or another
     */
    public static boolean tryLock(Fd fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            int result = (int) FLOCK.invokeExact(state, fd.number(), LOCK_EX | LOCK_NB);
            if (result < 0 && errno(state) == Errno.EAGAIN) {
                return false;
            }
            check("flock", result, state);
            return true;
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Returns when the file's, or directory's, contents are on the disk. */
    public static void fsync(Fd fd) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            check("fsync", (int) FSYNC.invokeExact(state, fd.number()), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Gives an open file without a name one in an open directory; linkat(2). EEXIST where something has it. */
    public static void link(Fd fd, Fd directory, String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment from = arena.allocateFrom("/proc/self/fd/" + fd.number());
            MemorySegment to = arena.allocateFrom(name);
            int result = (int) LINKAT.invokeExact(state, AT_FDCWD, from, directory.number(), to, AT_SYMLINK_FOLLOW);
            check("link " + name, result, state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Removes the name {@code name} from an open directory; a file that is still in use lives on without it. */
    public static void unlinkAt(Fd directory, String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment text = arena.allocateFrom(name);
            check("unlink " + name, (int) UNLINKAT.invokeExact(state, directory.number(), text, 0), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** Makes the node of a block device, mode 0600 less the umask. EEXIST where something stands there. */
    public static void makeBlockNode(Path path, DeviceNumber device) throws IOException {
        // glibc's makedev(3): the kernel's 12 + 20 bits, in the order of gnu_dev_makedev.
        long dev = ((long) device.major() & 0xfff) << 8
                | (device.minor() & 0xff)
                | ((long) device.minor() & 0xfff00) << 12;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment text = arena.allocateFrom(path.toString());
            check("mknod " + path, (int) MKNOD.invokeExact(state, text, S_IFBLK | 0600, dev), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /**
     * ioctl(2) with a number for an argument.
     *
     * @return what the call returned, 0 or more
     */
    public static int ioctl(Fd fd, String name, long request, long argument) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            return check(name, (int) IOCTL_LONG.invokeExact(state, fd.number(), request, argument), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** ioctl(2) with a struct for an argument. */
    public static int ioctl(Fd fd, String name, long request, MemorySegment argument) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            return check(name, (int) IOCTL_POINTER.invokeExact(state, fd.number(), request, argument), state);
        } catch (Throwable e) {
            throw rethrow(e);
        }
    }

    /** CLOCK_BOOTTIME in nanoseconds: it never jumps with the wall clock, and goes on while the machine is suspended. */
    public static long boottimeNanos() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            MemorySegment time = arena.allocate(16, 8);
            check("clock_gettime", (int) CLOCK_GETTIME.invokeExact(state, CLOCK_BOOTTIME, time), state);
            return time.get(JAVA_LONG, 0) * 1_000_000_000L + time.get(JAVA_LONG, 8);
        } catch (Throwable e) {
            // The clock exists since Linux 2.6.39: only a programming error leads here.
            throw new IllegalStateException("CLOCK_BOOTTIME cannot be read", e);
        }
    }

    /** Whose the files are that this process makes; geteuid(2) always succeeds. */
    public static int effectiveUser() {
        try (Arena arena = Arena.ofConfined()) {
            return (int) GETEUID.invokeExact(arena.allocate(CALL_STATE));
        } catch (Throwable e) {
            throw new IllegalStateException("geteuid", e);
        }
    }

    private static MethodHandle call(String name, FunctionDescriptor type, int firstVariadic) {
        return LINKER.downcallHandle(
                LINKER.defaultLookup().findOrThrow(name), type, ERRNO, Linker.Option.firstVariadicArg(firstVariadic));
    }

    private static MethodHandle call(String name, FunctionDescriptor type) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), type, ERRNO);
    }

    /** A C string of these bytes: paths have no encoding. */
    private static MemorySegment text(Arena arena, byte[] bytes) {
        MemorySegment text = arena.allocate(bytes.length + 1L);
        MemorySegment.copy(bytes, 0, text, JAVA_BYTE, 0, bytes.length);
        return text;
    }

    private static int check(String call, int result, MemorySegment state) throws PosixException {
        if (result < 0) {
            throw failure(call, state);
        }
        return result;
    }

    private static PosixException failure(String call, MemorySegment state) {
        return new PosixException(call, errno(state));
    }

    private static int errno(MemorySegment state) {
        return (int) ERRNO_VALUE.get(state, 0L);
    }

    /** A method handle is declared to throw anything; these throw what we threw, or an error. */
    private static IOException rethrow(Throwable e) {
        return switch (e) {
            case IOException io -> io;
            case RuntimeException unchecked -> throw unchecked;
            case Error error -> throw error;
            default -> throw new IllegalStateException(e);
        };
    }

    private static boolean isAarch64() {
        return System.getProperty("os.arch", "").equals("aarch64");
    }
}
