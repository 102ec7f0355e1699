package dev.looplease.losetup;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What is the same whatever the backend: where sysfs and the nodes are, and how an attachment is held. */
abstract class HostLosetup implements Losetup {

    private static final Logger LOG = LoggerFactory.getLogger(HostLosetup.class);

    final LoopSysfs sysfs;
    final LoopNodes nodes;

    HostLosetup(Path dev, Path sys) {
        sysfs = new LoopSysfs(sys);
        nodes = new LoopNodes(dev, sysfs);
    }

    abstract OpenHandle handle(Fd device, LoopIdentity identity);

    @Override
    public final Optional<LoopHandle> open(LoopIdentity identity) throws LosetupException {
        // Looked at before it is opened: an open, however short, turns a stranger's detach into a lazy one.
        if (!sysfs.isBound(identity)) {
            return Optional.empty();
        }
        try {
            OpenHandle handle = handle(nodes.openExisting(identity.number(), Posix.O_RDONLY), identity);
            try {
                handle.verify();
                return Optional.of(handle);
            } catch (LosetupException e) {
                handle.close();
                throw e;
            }
        } catch (LosetupException.Gone e) {
            return Optional.empty();
        } catch (PosixException e) {
            if (LoopNodes.isAbsent(e)) {
                return Optional.empty();
            }
            throw LosetupException.of(e);
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    @Override
    public final boolean isBound(LoopIdentity identity) {
        return sysfs.isBound(identity);
    }

    /** One device of a list. */
    interface Look {
        Optional<LoopDevice> look() throws IOException;
    }

    /**
     * An image on a dead network file system cannot be asked for its inode. Such a stranger's device must not cost the
     * list of all others.
     */
    static Optional<LoopDevice> unlessBroken(int number, Look look) {
        try {
            return look.look();
        } catch (IOException e) {
            LOG.warn("left out of the list: loop{} cannot be read", number, e);
            return Optional.empty();
        }
    }
}
