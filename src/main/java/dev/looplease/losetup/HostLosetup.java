package dev.looplease.losetup;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
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

    /** Attachments that were read in full, by number. */
    private final Map<Integer, LoopDevice> known = new ConcurrentHashMap<>();

    /** More devices than this are cheaper to list with all partitions of the host than one by one. */
    private static final int FEW = 200;

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

    @Override
    public final List<Integer> numbers() throws LosetupException {
        try {
            return sysfs.numbers();
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    @Override
    public final List<LoopDevice> list(List<Integer> numbers) throws LosetupException {
        try {
            List<Integer> bound =
                    numbers.stream().filter(this::isBoundOrForgotten).toList();
            learn(bound.stream().filter(number -> !known.containsKey(number)).toList());
            Map<Integer, List<Integer>> partitions =
                    bound.size() > FEW ? sysfs.inventory().partitions() : Map.of();
            List<LoopDevice> devices = new ArrayList<>(bound.size());
            for (int number : bound) {
                unlessBroken(number, () -> {
                            List<Integer> found = bound.size() > FEW
                                    ? partitions.getOrDefault(number, List.of())
                                    : sysfs.partitionNumbers(number);
                            Optional<LoopDevice> again = again(number, found);
                            return again.isPresent() ? again : inspect(number);
                        })
                        .ifPresent(devices::add);
            }
            return devices;
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    @Override
    public final List<String> unlistedImages(List<LoopDevice> listed) throws LosetupException {
        Set<Integer> read = listed.stream().map(LoopDevice::number).collect(Collectors.toSet());
        try {
            List<String> names = new ArrayList<>();
            for (int number : sysfs.numbers()) {
                if (!read.contains(number)) {
                    sysfs.backingText(number).ifPresent(names::add);
                }
            }
            return names;
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    private boolean isBoundOrForgotten(int number) {
        boolean bound = sysfs.isBound(number);
        if (!bound) {
            known.remove(number);
        }
        return bound;
    }

    /** Reads several at once that were not read before, where that is cheaper. */
    void learn(List<Integer> unknown) throws IOException {}

    /** Remembers what has been read in full. */
    final LoopDevice remember(LoopDevice device) {
        // Without a generation number nobody can tell whether it is still that attachment.
        if (device.diskSeq() != 0) {
            known.put(device.number(), device);
        }
        return device;
    }

    /** An attachment that was read before as it is now; empty where there was none, or it has ended. */
    private Optional<LoopDevice> again(int number, List<Integer> partitionNumbers) throws IOException {
        LoopDevice before = known.get(number);
        if (before == null) {
            return Optional.empty();
        }
        Optional<LoopDevice> now = sysfs.again(before, partitionNumbers);
        if (now.isEmpty()) {
            known.remove(number, before);
        }
        return now;
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
