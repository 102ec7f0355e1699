package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import dev.looplease.posix.Errno;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import dev.looplease.usage.PatientThread.StuckException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The processes that have a device open, or something on a filesystem of it, a lazily unmounted one included: such a
 * mount is in no mountinfo, and only {@code st_dev} of what its processes hold tells.
 *
 * <p>Looking at a file on a dead network filesystem hangs, even by {@code /proc/PID/cwd} and with AT_STATX_DONT_SYNC
 * (NFS revalidates where a magic link leads to). So the link's text and the process's mounts decide first whether the
 * file lies on such a filesystem; it is then not ours. The text misleads for what was lazily unmounted: therefore each
 * process is looked at with a time limit, on a thread that is given up after it.
 *
 * <p>Not looked at: what only a single thread has for its own, mapped files without a descriptor ({@code maps} hangs on a
 * process that hangs), descriptors in flight and those of io_uring.
 */
final class Openers {

    private static final Logger log = LoggerFactory.getLogger(Openers.class);
    private static final Duration LIMIT = Duration.ofSeconds(1);

    private final HostTree tree;
    /** Looks that never ended, by process: that process is passed over, so that not each look leaves a thread behind. */
    private final Map<Long, Future<?>> stuck = new ConcurrentHashMap<>();

    Openers(HostTree tree) {
        this.tree = tree;
    }

    List<DeviceUser> find(Footprint device, Census census) throws IOException {
        List<DeviceUser> users = new ArrayList<>();
        long self = census.processes().getFirst().pid();
        PatientThread thread = new PatientThread("looplease-openers");
        try {
            for (Census.Dweller process : census.processes()) {
                if (isStuck(process.pid())) {
                    continue;
                }
                MountNamespace namespace = census.namespaceOf(process).orElse(null);
                boolean own = process.pid() == self;
                try {
                    Set<String> targets = thread.call(LIMIT, () -> targets(process.pid(), device, namespace, own));
                    String command = targets.isEmpty() ? null : HostTree.line(tree.process(process.pid(), "comm"));
                    targets.forEach(target ->
                            users.add(new DeviceUser(DeviceUser.Kind.PROCESS, target, process.pid(), command)));
                } catch (StuckException e) {
                    log.warn("Passing over process {}: a file that it has open gives no answer", process.pid());
                    stuck.put(process.pid(), e.call());
                    thread.close();
                    thread = new PatientThread("looplease-openers");
                }
            }
        } finally {
            thread.close();
        }
        return users;
    }

    private boolean isStuck(long pid) {
        Future<?> look = stuck.get(pid);
        if (look != null && look.isDone()) {
            stuck.remove(pid);
            return false;
        }
        return look != null;
    }

    private Set<String> targets(long pid, Footprint device, @Nullable MountNamespace namespace, boolean own)
            throws IOException {
        Set<String> targets = new LinkedHashSet<>();
        try {
            for (String place : List.of("cwd", "root", "exe")) {
                String target = look(tree.process(pid, place), device, namespace, own);
                if (target != null) {
                    targets.add(target + " (" + place + ")");
                }
            }
            Path descriptors = tree.process(pid, "fd");
            for (String number : HostTree.names(descriptors)) {
                String target = look(descriptors.resolve(number), device, namespace, own);
                if (target != null) {
                    targets.add(target);
                }
            }
        } catch (PosixException e) {
            Census.requireTracing(tree, e);
            log.debug("Passing over process {}, which may not be looked at: {}", pid, e.getMessage());
        } catch (AccessDeniedException e) {
            Census.requireTracing(tree, new PosixException("list " + e.getFile(), Errno.EACCES));
            log.debug("Passing over process {}, which may not be looked at: {}", pid, e.getMessage());
        }
        return targets;
    }

    /** What the link leads to, when that is on the device or is its node; null otherwise. */
    private @Nullable String look(Path link, Footprint device, @Nullable MountNamespace namespace, boolean own)
            throws IOException {
        try {
            byte[] text = Posix.readlink(link);
            if (text.length == 0 || text[0] != '/') {
                return null; // a socket, a pipe: socket:[4711]
            }
            Mount mount = namespace == null ? null : namespace.holding(new String(text, ISO_8859_1));
            if (mount != null && !mount.isLocal()) {
                return null;
            }
            FileStat file = Posix.peek(link);
            // The agent has the node open while it looks, to hold the device.
            boolean node = !own && file.isBlockDevice() && device.contains(file.represents());
            // A btrfs gives each subvolume a number of its own, which no mountinfo shows: its mount must tell.
            boolean btrfs = file.device().major() == 0 && mount != null && device.carries(tree, mount);
            return node || btrfs || device.contains(file.device()) ? HostTree.utf8(text) : null;
        } catch (PosixException e) {
            if (HostTree.gone(e)) {
                return null;
            }
            throw e;
        }
    }
}
