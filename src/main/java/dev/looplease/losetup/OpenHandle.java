package dev.looplease.losetup;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;

/**
 * What a handle does the same way whatever the backend: it holds a descriptor, and after each request believes only what
 * the device is then.
 */
abstract class OpenHandle implements LoopHandle {

    final Fd device;
    final LoopIdentity identity;
    private final LoopNodes nodes;
    private final LoopSysfs sysfs;

    OpenHandle(Fd device, LoopIdentity identity, LoopNodes nodes, LoopSysfs sysfs) {
        this.device = device;
        this.identity = identity;
        this.nodes = nodes;
        this.sysfs = sysfs;
    }

    /**
     * Proves that the open device is that attachment.
     *
     * @throws LosetupException.Gone when it is not, or no more
     */
    void verify() throws LosetupException {
        inspect();
    }

    /** Asks; whether it was granted is seen afterwards. The same goes for the others. */
    abstract void requestRetain() throws LosetupException;

    abstract void requestSize() throws LosetupException;

    abstract void requestDirectIo(boolean on) throws LosetupException;

    abstract void requestSectorSize(int bytes) throws LosetupException;

    @Override
    public boolean canRetain() throws LosetupException {
        return true;
    }

    @Override
    public void retain() throws LosetupException {
        requestRetain();
        LosetupException.expect("autoclear", false, inspect().autoclear());
    }

    @Override
    public final LoopDevice refreshSize() throws LosetupException {
        requestSize();
        return inspect();
    }

    @Override
    public final LoopDevice setDirectIo(boolean on) throws LosetupException {
        requestDirectIo(on);
        LoopDevice now = inspect();
        LosetupException.expect("directIo", on, now.directIo());
        return now;
    }

    @Override
    public final LoopDevice setSectorSize(int bytes) throws LosetupException {
        Attachment.checkSectorSize(bytes);
        requestSectorSize(bytes);
        LoopDevice now = inspect();
        LosetupException.expect("sectorSize", bytes, now.sectorSize());
        return now;
    }

    @Override
    public final boolean isClaimed() throws LosetupException {
        verify();
        try (Fd probe = nodes.openExisting(identity.number(), Posix.O_RDONLY | Posix.O_EXCL)) {
            probe.number();
            return false;
        } catch (PosixException e) {
            if (e.errno() == Errno.EBUSY) {
                return true;
            }
            throw failure(e);
        } catch (IOException e) {
            throw failure(e);
        }
    }

    @Override
    public final boolean hasPartitions() throws LosetupException {
        try {
            return !sysfs.partitionNumbers(identity.number()).isEmpty();
        } catch (IOException e) {
            throw failure(e);
        }
    }

    /** Types a failed call: where the attachment has ended, that is the reason. */
    final LosetupException failure(IOException e) {
        return e instanceof PosixException posix && LoopNodes.isAbsent(posix)
                ? new LosetupException.Gone(identity)
                : LosetupException.of(e);
    }

    @Override
    public void close() throws LosetupException {
        try {
            device.close();
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }
}
