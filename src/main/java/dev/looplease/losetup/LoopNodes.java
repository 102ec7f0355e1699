package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The nodes {@code /dev/loopN}. In a container /dev is a private tmpfs, where the kernel makes no node for a new
 * device; whichever is missing is made here from sysfs.
 */
final class LoopNodes {

    private final Path dev;
    private final LoopSysfs sysfs;

    LoopNodes(Path dev, LoopSysfs sysfs) {
        this.dev = dev;
        this.sysfs = sysfs;
    }

    Path control() {
        return dev.resolve("loop-control");
    }

    Path path(int number) {
        return dev.resolve("loop" + number);
    }

    /**
     * Opens a device that exists.
     *
     * @throws PosixException ENXIO where there is none
     */
    Fd open(int number, int flags) throws IOException {
        // The kernel makes a device when a node without one is opened (loop_probe): do not even try.
        if (!sysfs.exists(number)) {
            throw new PosixException("open loop" + number, Errno.ENXIO);
        }
        return openExisting(number, flags);
    }

    /** The same for a device that the caller has just seen, or holds open. */
    Fd openExisting(int number, int flags) throws IOException {
        try {
            return Posix.open(path(number), flags | Posix.O_NONBLOCK);
        } catch (PosixException e) {
            if (e.errno() != Errno.ENOENT || !make(number)) {
                throw e;
            }
            return Posix.open(path(number), flags | Posix.O_NONBLOCK);
        }
    }

    /** Makes the node where it is missing and the device exists, and tells whether that was so. */
    boolean make(int number) throws IOException {
        Path node = path(number);
        if (Files.exists(node, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        Optional<DeviceNumber> device = sysfs.node(number);
        if (device.isEmpty()) {
            return false;
        }
        try {
            Posix.makeBlockNode(node, device.get());
        } catch (PosixException e) {
            // devtmpfs or another thread was faster.
            if (e.errno() != Errno.EEXIST) {
                throw e;
            }
        }
        return true;
    }

    /** Whether an open failed because there is no such device any more, or it is being detached. */
    static boolean isAbsent(PosixException e) {
        return e.errno() == Errno.ENXIO || e.errno() == Errno.ENOENT || e.errno() == Errno.ENODEV;
    }
}
