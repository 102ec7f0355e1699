package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import dev.looplease.posix.DeviceNumber;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A mount, a line of {@code /proc/PID/mountinfo}; proc_pid_mountinfo(5).
 *
 * @param id unique on the host while the mount exists, whatever its namespace
 * @param parent the id of the mount that it is mounted on
 * @param device {@code st_dev} of its files; of a btrfs an anonymous number, major 0
 * @param rawPoint where, from its namespace's root: the path's bytes, each a char, because a path has no encoding
 * @param type the filesystem's
 * @param source what was mounted: {@code /dev/loop7}, or free text
 */
record Mount(long id, long parent, DeviceNumber device, String rawPoint, String type, String source) {

    /** Filesystems without a block device that never wait for a server or another process when one looks at a file. */
    private static final Set<String> LOCAL = Set.of(
            "tmpfs",
            "devtmpfs",
            "ramfs",
            "rootfs",
            "overlay",
            "btrfs",
            "bcachefs",
            "zfs",
            "proc",
            "sysfs",
            "devpts",
            "cgroup",
            "cgroup2",
            "mqueue",
            "hugetlbfs",
            "tracefs",
            "debugfs",
            "securityfs",
            "nsfs",
            "bpf");

    static List<Mount> parseAll(byte[] mountinfo) {
        return new String(mountinfo, ISO_8859_1).lines().map(Mount::parse).toList();
    }

    /** {@code 36 35 98:0 /root /point options [optional fields…] - type source superoptions}. */
    private static Mount parse(String line) {
        List<String> fields = List.of(line.split(" ", -1));
        int dash = fields.subList(Math.min(6, fields.size()), fields.size()).indexOf("-") + 6;
        if (dash < 6 || fields.size() < dash + 3) {
            throw new IllegalArgumentException("not a line of mountinfo: " + line);
        }
        return new Mount(
                Long.parseLong(fields.get(0)),
                Long.parseLong(fields.get(1)),
                DeviceNumber.parse(fields.get(2)),
                new String(Octal.unescape(fields.get(4)), ISO_8859_1),
                fields.get(dash + 1),
                HostTree.utf8(Octal.unescape(fields.get(dash + 2))));
    }

    /** The mount point as the system calls take it. */
    byte[] pointBytes() {
        return rawPoint.getBytes(ISO_8859_1);
    }

    /** The mount point for people. */
    String point() {
        return HostTree.utf8(pointBytes());
    }

    /** Whether looking at its files cannot hang: a dead NFS server or FUSE process never answers. */
    boolean isLocal() {
        return device.major() != 0 || LOCAL.contains(type);
    }

    /** The mount that a path of their namespace lies on, each byte of it a char; the upper of two at one point. */
    static @Nullable Mount holding(List<Mount> mounts, String rawPath) {
        Mount best = null;
        for (Mount mount : mounts) {
            String point = mount.rawPoint();
            boolean below = point.equals("/")
                    || (rawPath.startsWith(point)
                            && (rawPath.length() == point.length() || rawPath.charAt(point.length()) == '/'));
            if (below && (best == null || point.length() >= best.rawPoint().length())) {
                best = mount;
            }
        }
        return best;
    }

    /**
     * The chosen mounts and all that is mounted on them, by mount id and parent's id and never by their paths, in the
     * order in which they can be ended: the deepest first, the later of two first. A mount's place in the list says
     * nothing, because {@code mount --move} and, since Linux 6.8, the list's order by id put parents behind children.
     */
    static List<Mount> deepestFirst(List<Mount> mounts, Predicate<Mount> chosen) {
        Map<Long, Mount> byId = new HashMap<>();
        mounts.forEach(mount -> byId.put(mount.id, mount));
        Map<Mount, Integer> depths = new HashMap<>();
        List<Mount> doomed = new ArrayList<>();
        for (Mount mount : mounts.reversed()) {
            int depth = 0;
            boolean below = false;
            Mount at = mount;
            // The root's parent is itself or in no list; a list read in several pieces may be inconsistent, so:
            // bounded.
            while (at != null && depth <= mounts.size()) {
                below |= chosen.test(at);
                depth++;
                at = at.parent == at.id ? null : byId.get(at.parent);
            }
            if (below) {
                doomed.add(mount);
                depths.put(mount, depth);
            }
        }
        doomed.sort(Comparator.comparing(depths::get, Comparator.reverseOrder()));
        return doomed;
    }
}
