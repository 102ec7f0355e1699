package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import dev.looplease.usage.DeviceUser.Kind;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One run to free one device. It believes what it sees, not what calls return: act, look again, and stop when nothing
 * is left or nothing changes. What went wrong is kept for the explanation of what is left.
 */
final class Release {

    private static final Logger log = LoggerFactory.getLogger(Release.class);

    static final Duration LIMIT = Duration.ofMinutes(5);
    private static final Duration SWAPOFF_LIMIT = Duration.ofSeconds(60);
    /** Somebody may mount again while we unmount: a race that we do not run for ever. */
    private static final int PASSES = 8;
    /** dm on md on dm: deeper stacks are nobody's. */
    private static final int LAYERS = 8;

    private final HostTree tree;
    private final Command command;
    private final DeviceUsers users;
    private final Map<String, String> failures = new LinkedHashMap<>();

    Release(HostTree tree, Command command, DeviceUsers users) {
        this.tree = tree;
        this.command = command;
        this.users = users;
    }

    List<Leftover> free(BlockTarget device) throws IOException {
        free(device, LAYERS);
        List<Leftover> left = new ArrayList<>();
        for (DeviceUser user : users.find(device, List.of())) {
            left.add(new Leftover(user.describe(), why(user)));
        }
        for (BlockTarget.Part part : Sysfs.partitions(tree, device.name())) {
            left.add(new Leftover("partition " + part.name(), failures.getOrDefault(part.name(), "still there")));
        }
        return List.copyOf(left);
    }

    private String why(DeviceUser user) {
        String target = user.target();
        if (user.kind() == Kind.PROCESS) {
            return "a process ends what it holds, or itself";
        }
        return target == null
                ? "no process lives in its mount namespace, or it was unmounted lazily"
                : failures.getOrDefault(target, "came back as often as it was freed");
    }

    private void free(BlockTarget device, int layers) throws IOException {
        List<DeviceUser> before = null;
        for (int pass = 0; pass < PASSES; pass++) {
            Footprint footprint = Footprint.of(tree, device);
            Census census = Census.take(tree);
            List<DeviceUser> now = users.mountsSwapAndHolders(footprint, census);
            // A chrooted process does not see all mounts of its namespace: one look from inside.
            boolean blind = pass == 0 && census.namespaces().stream().anyMatch(namespace -> !namespace.whole());
            if ((now.isEmpty() && !blind) || now.equals(before)) {
                break;
            }
            before = now;
            // Swap first: a swap file keeps its filesystem busy, and has no path any more after a lazy unmount.
            for (Swap swap : users.swaps(footprint)) {
                stopSwap(swap, swap.pathBytes());
            }
            for (MountNamespace namespace : census.namespaces()) {
                if (!namespace.whole()
                        || namespace.mounts().stream().anyMatch(mount -> footprint.carries(tree, mount))) {
                    unmountAll(footprint, namespace);
                }
            }
            for (Sysfs.Holder holder : Sysfs.holders(tree, footprint.device())) {
                takeDown(holder, layers);
            }
        }
        dropPartitions(device);
    }

    private void stopSwap(Swap swap, byte[] path) {
        try (PatientThread thread = new PatientThread("looplease-swapoff")) {
            thread.call(SWAPOFF_LIMIT, () -> {
                Posix.swapoff(path);
                return true;
            });
        } catch (IOException e) {
            failed(swap.path(), e);
        }
    }

    private void unmountAll(Footprint device, MountNamespace namespace) {
        try (NamespaceThread inside = NamespaceThread.enter(tree.process(namespace.pid(), "ns/mnt"))) {
            stopSwaps(device, inside);
            for (Mount mount : Mount.deepestFirst(inside.mounts(), mount -> device.carries(tree, mount))) {
                try {
                    inside.unmount(mount);
                } catch (PatientThread.StuckException e) {
                    // Its thread is lost, and what lies beneath must wait for it anyway.
                    failed(mount.point(), e);
                    return;
                } catch (PosixException e) {
                    failed(mount.point(), e);
                }
            }
        } catch (IOException e) {
            namespace.mounts().stream()
                    .filter(mount -> device.carries(tree, mount))
                    .forEach(mount -> failed(mount.point(), e));
        }
    }

    /**
     * Stops swap that was begun in there by a path that leads nowhere here. What the path means in there is held and looked
     * at; the call itself is made outside, by that descriptor, so that nobody in there can put another area in its place.
     */
    private void stopSwaps(Footprint device, NamespaceThread inside) throws IOException {
        for (Swap swap : users.swaps()) {
            Mount mount = Mount.holding(inside.mounts(), swap.rawPath());
            if (mount == null || !mount.isLocal()) {
                continue;
            }
            try (Fd area = inside.hold(swap.path())) {
                if (device.holds(Posix.stat(area))) {
                    stopSwap(swap, area.procPath().getBytes(US_ASCII));
                }
            } catch (PosixException e) {
                log.debug("{} is no swap area in there: {}", swap.path(), e.getMessage());
            }
        }
    }

    /** Frees the holder as the block device that it is, then removes it. */
    private void takeDown(Sysfs.Holder holder, int layers) throws IOException {
        String number = HostTree.line(tree.block(holder.name()).resolve("dev"));
        if (number == null) {
            return; // gone meanwhile
        }
        if (layers == 0) {
            failures.put(holder.target(), "too many devices on top of each other");
            return;
        }
        free(new BlockTarget(holder.name(), DeviceNumber.parse(number), List.of()), layers - 1);
        try {
            if (!holder.label().isEmpty()) {
                // --retry: udev's probing of the device makes the first attempt fail.
                command.run(List.of("dmsetup", "remove", "--retry", "--", holder.label()));
            } else if (holder.name().startsWith("md")) {
                command.run(List.of("mdadm", "--stop", tree.node(holder.name()).toString()));
            } else {
                failures.put(holder.target(), "neither device-mapper's nor md's: its own tool must remove it");
            }
        } catch (IOException e) {
            failed(holder.target(), e);
        }
    }

    private void dropPartitions(BlockTarget device) throws IOException {
        try {
            Partitions.drop(tree, device);
        } catch (IOException e) {
            for (BlockTarget.Part part : Sysfs.partitions(tree, device.name())) {
                failed(part.name(), e);
            }
        }
    }

    private void failed(String what, IOException e) {
        failures.put(what, String.valueOf(e.getMessage()));
    }
}
