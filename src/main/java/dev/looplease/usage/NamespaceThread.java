package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/**
 * A thread inside a mount namespace, at its root, that ends mounts there and then ends itself. No program of that
 * namespace is run, and no file of it opened but by O_PATH: whoever owns it could have put anything there.
 *
 * <p>The thread must start no other thread, which would inherit its namespace, and load no class, which would be looked
 * for there. So it does system calls only, after one rehearsal outside, and its callers must wait on platform threads:
 * waking a virtual thread may start a carrier.
 */
final class NamespaceThread implements AutoCloseable {

    private static final Duration LIMIT = Duration.ofSeconds(10);
    private static final byte[] ROOT = "/".getBytes(US_ASCII);

    private final PatientThread thread;
    private final Path mountinfo;

    private NamespaceThread(PatientThread thread, Path mountinfo) {
        this.thread = thread;
        this.mountinfo = mountinfo;
    }

    /** @param namespace {@code /proc/PID/ns/mnt} */
    static NamespaceThread enter(Path namespace) throws IOException {
        if (Thread.currentThread().isVirtual()) {
            throw new IllegalStateException("a virtual thread must not wait for a thread in another mount namespace");
        }
        PatientThread thread = new PatientThread("looplease-namespace");
        try (Fd target = Posix.open(namespace, Posix.O_RDONLY)) {
            String task = thread.call(LIMIT, () -> {
                byte[] link = Posix.readlink(Path.of("/proc/thread-self"));
                Posix.unshareDirectories();
                rehearse();
                Posix.enterMountNamespace(target);
                return HostTree.utf8(link);
            });
            // Read from outside: the namespace need not have a /proc.
            return new NamespaceThread(thread, Path.of("/proc").resolve(task).resolve("mountinfo"));
        } catch (IOException | RuntimeException e) {
            thread.close();
            throw e;
        }
    }

    /** Calls that fail, and change nothing but this thread's working directory. */
    private static void rehearse() throws IOException {
        try {
            end(new Mount(-1, -1, new DeviceNumber(0, 0), "", "", ""));
        } catch (PosixException e) {
            requireMissing(e);
        }
        try {
            Posix.umount(new byte[0], Posix.UMOUNT_NOFOLLOW);
        } catch (PosixException e) {
            requireMissing(e);
        }
        try {
            find("no such file").close();
        } catch (PosixException e) {
            requireMissing(e);
        }
    }

    private static void requireMissing(PosixException e) throws PosixException {
        if (e.errno() != Errno.ENOENT) {
            throw e;
        }
    }

    /** All mounts of the namespace, those included that its processes cannot see from their roots. */
    List<Mount> mounts() throws IOException {
        return Mount.parseAll(HostTree.read(mountinfo));
    }

    /** Holds what a path of the kernel's means in here; by O_PATH, which opens nothing. */
    Fd hold(String path) throws IOException {
        return thread.call(LIMIT, () -> find(path.substring(1)));
    }

    /** The kernel's paths have no symbolic links in them. */
    private static Fd find(String belowRoot) throws IOException {
        try (Fd root = Posix.open(Path.of("/"), Posix.O_PATH | Posix.O_DIRECTORY)) {
            return Posix.openBeneath(root, belowRoot, Posix.O_PATH, 0);
        }
    }

    /** Ends a mount; lazily when something is inside. ENOENT, EINVAL: it is no longer there, or hidden by another. */
    void unmount(Mount mount) throws IOException {
        thread.call(LIMIT, () -> {
            end(mount);
            return true;
        });
    }

    /**
     * The working directory becomes the one that holds the mount point, and the mount at that name is asked for its id.
     * The name of a mount point can be neither renamed nor removed, so nobody can put another mount, or a symbolic link
     * to one, in its place before umount2(2) gets the same name.
     */
    private static void end(Mount mount) throws IOException {
        byte[] point = mount.pointBytes();
        int slash = mount.rawPoint().lastIndexOf('/');
        boolean root = mount.rawPoint().equals("/");
        byte[] name = root ? point : Arrays.copyOfRange(point, slash + 1, point.length);
        Posix.chdir(slash <= 0 ? ROOT : Arrays.copyOf(point, slash));
        try {
            requireSame(mount, name);
            Posix.umount(name, Posix.UMOUNT_NOFOLLOW);
        } catch (PosixException e) {
            if (e.errno() != Errno.EBUSY) {
                throw e;
            }
            requireSame(mount, name);
            Posix.umount(name, Posix.UMOUNT_NOFOLLOW | Posix.MNT_DETACH);
        } finally {
            // The working directory itself would keep the mount it lies on busy.
            Posix.chdir(ROOT);
        }
    }

    private static void requireSame(Mount mount, byte[] name) throws IOException {
        if (Posix.mountId(name) != mount.id()) {
            throw new PosixException("another mount lies over it", Errno.EINVAL);
        }
    }

    @Override
    public void close() {
        thread.close();
    }
}
