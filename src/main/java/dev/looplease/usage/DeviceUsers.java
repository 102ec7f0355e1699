package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.posix.Errno;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import dev.looplease.usage.DeviceUser.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds who uses a block device, and frees it.
 *
 * <p>The caller makes sure that the name still means the device that it thinks of, by holding the node open; not with
 * O_EXCL, which would look like a user. Needs root: CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SYS_PTRACE, and a {@code /proc}
 * that shows the host's processes. Linux 5.8 or later to unmount.
 *
 * <p>Not seen: mount namespaces that no process lives in; what single threads have for their own (a namespace, a
 * working directory, descriptors); and a lazily unmounted btrfs, whose files show a number that is found nowhere else. The
 * kernel still refuses an exclusive open for a mount or swap among these, which is then reported as a mount without a target.
 *
 * <p>Safe for use by many threads, also for the same device.
 */
public final class DeviceUsers {

    private static final Duration STAT_LIMIT = Duration.ofSeconds(1);

    private final HostTree tree;
    private final Command command;
    private final Openers openers;

    /** Looks at this host. */
    public DeviceUsers() {
        this(HostTree.REAL, Command.real());
    }

    DeviceUsers(HostTree tree, Command command) {
        this.tree = tree;
        this.command = command;
        this.openers = new Openers(tree);
    }

    /**
     * Who uses the device or a partition of it, looked up now. Processes that end meanwhile are left out.
     *
     * @param loops the host's loop devices
     * @throws IOException when {@code /proc} or {@code /sys} cannot be read, or may not: no answer is better than
     *     "nobody"
     */
    public List<DeviceUser> find(BlockTarget device, Collection<StackedLoop> loops) throws IOException {
        Footprint footprint = Footprint.of(tree, device);
        Census census = Census.take(tree);
        List<DeviceUser> users = mountsSwapAndHolders(footprint, census);
        List<DeviceUser> processes = openers.find(footprint, census);
        if (users.isEmpty() && processes.isEmpty() && isHeldExclusively(device)) {
            users.add(new DeviceUser(Kind.MOUNT, null, null, null));
        }
        for (StackedLoop loop : loopsOn(footprint, census, loops)) {
            users.add(new DeviceUser(Kind.LOOP, "/dev/" + loop.name(), null, null));
        }
        users.addAll(processes);
        return List.copyOf(users);
    }

    /**
     * The loop devices that stand directly on the device: the backing file lies on a filesystem of it or of a partition,
     * or is its node. The loop device's own word for that counts, never a path.
     */
    public List<StackedLoop> loopsOn(BlockTarget device, Collection<StackedLoop> loops) throws IOException {
        return loops.isEmpty() ? List.of() : loopsOn(Footprint.of(tree, device), Census.take(tree), loops);
    }

    /**
     * Frees the device: stops swap, ends its mounts and all that is mounted on them in every mount namespace, lazily
     * where something is inside, takes down what device-mapper and md have on it, and deletes its partitions from the
     * kernel's view. Not the loop devices on it: their driver's owner detaches them first. What is already gone is
     * success. Each call to the kernel gets 10 seconds; swapoff 60.
     *
     * @return what is left, processes included; empty when all was freed
     */
    public List<Leftover> free(BlockTarget device) {
        try (PatientThread thread = new PatientThread("looplease-free-" + device.name())) {
            // On a platform thread, whatever the caller's: see NamespaceThread.
            return thread.call(Release.LIMIT, () -> new Release(tree, command, this).free(device));
        } catch (IOException e) {
            return List.of(new Leftover(device.name(), String.valueOf(e.getMessage())));
        }
    }

    /**
     * Deletes the partitions that a scan or BLKPG added, from the kernel's view only: they survive a detach otherwise, and
     * reappear under the next image.
     *
     * @throws IOException EBUSY when one is in use
     */
    public void dropPartitions(BlockTarget device) throws IOException {
        Partitions.drop(tree, device);
    }

    /** The same, but for those that are in use: the kernel keeps them, and nobody has to be looked for. */
    public void dropUnusedPartitions(BlockTarget device) throws IOException {
        Partitions.dropUnused(tree, device);
    }

    /** What the kernel counts as exclusive use. */
    List<DeviceUser> mountsSwapAndHolders(Footprint device, Census census) throws IOException {
        List<DeviceUser> users = new ArrayList<>();
        for (MountNamespace namespace : census.namespaces()) {
            Long pid = namespace.own() ? null : Long.valueOf(namespace.pid());
            for (Mount mount : namespace.mounts()) {
                if (device.carries(tree, mount)) {
                    String comm = pid == null ? null : HostTree.line(tree.process(pid, "comm"));
                    users.add(new DeviceUser(Kind.MOUNT, mount.point(), pid, comm));
                }
            }
        }
        for (Swap swap : swaps(device)) {
            users.add(new DeviceUser(Kind.SWAP, swap.path(), null, null));
        }
        for (Sysfs.Holder holder : Sysfs.holders(tree, device.device())) {
            users.add(new DeviceUser(Kind.HOLDER, holder.target(), null, null));
        }
        return users;
    }

    /** The swap areas that are the device or a partition, or files on them. */
    List<Swap> swaps(Footprint device) throws IOException {
        List<Swap> found = new ArrayList<>();
        for (Swap swap : swaps()) {
            FileStat file = peek(swap.path());
            if (file == null ? device.isNamed(swap.path()) : device.holds(file)) {
                found.add(swap);
            }
        }
        return found;
    }

    /** The host's swap areas; a path is that of the mount namespace in which swapon was called. */
    List<Swap> swaps() throws IOException {
        Path swaps = tree.proc().resolve("swaps");
        // There are kernels without swap.
        return Files.exists(swaps) ? Swap.parseAll(HostTree.read(swaps)) : List.of();
    }

    private List<StackedLoop> loopsOn(Footprint device, Census census, Collection<StackedLoop> loops)
            throws IOException {
        List<StackedLoop> found = new ArrayList<>();
        for (StackedLoop loop : loops) {
            if (!loop.name().equals(device.device().name()) && standsOn(device, census, loop)) {
                found.add(loop);
            }
        }
        return found;
    }

    private boolean standsOn(Footprint device, Census census, StackedLoop loop) throws IOException {
        return device.contains(loop.backingDevice())
                || device.contains(loop.backingNode())
                || isOnBtrfs(device, census.ownNamespace(), loop);
    }

    /**
     * A btrfs gives its files a number that no mount shows: the mount on which the path lies must tell, provided that the path
     * leads to such files here. It was written in another mount namespace, perhaps, and means something else there.
     */
    private boolean isOnBtrfs(Footprint device, MountNamespace own, StackedLoop loop) throws IOException {
        String file = loop.backingFile();
        Mount mount =
                loop.backingDevice().major() == 0 ? own.holding(new String(file.getBytes(UTF_8), ISO_8859_1)) : null;
        if (mount == null || !device.carries(tree, mount)) {
            return false;
        }
        // Not the file itself: that it is deleted changes nothing.
        FileStat directory = peek(file.substring(0, file.lastIndexOf('/') + 1));
        return directory != null && directory.device().equals(loop.backingDevice());
    }

    /** What stands at a path that the kernel printed; null when it is not there any more, or gives no answer. */
    private @Nullable FileStat peek(String path) throws IOException {
        try (PatientThread thread = new PatientThread("looplease-stat")) {
            return thread.call(STAT_LIMIT, () -> Posix.peek(tree.resolve(path)));
        } catch (PatientThread.StuckException | InvalidPathException e) {
            return null;
        } catch (PosixException e) {
            if (HostTree.gone(e)) {
                return null;
            }
            throw e;
        }
    }

    /** Whether somebody holds the device, or a partition, as only mounts, swap, holders and careful programs do. */
    private boolean isHeldExclusively(BlockTarget device) throws IOException {
        int flags = Posix.O_RDONLY | Posix.O_EXCL | Posix.O_NONBLOCK;
        try {
            Posix.open(tree.node(device.name()), flags).close();
            return false;
        } catch (PosixException e) {
            if (e.errno() == Errno.EBUSY) {
                return Posix.stat(tree.node(device.name())).represents().equals(device.number());
            }
            if (HostTree.gone(e)) {
                return false; // no node, as in a container, or no such device any more
            }
            throw e;
        }
    }
}
