package dev.looplease.usage;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A mount namespace as one of its processes sees it.
 *
 * @param key what {@code /proc/PID/ns/mnt} says
 * @param pid that process
 * @param own whether it is the agent's own
 * @param whole whether that process's root is the namespace's, so that no mount is hidden from it
 * @param mounts what it sees
 */
record MountNamespace(String key, long pid, boolean own, boolean whole, List<Mount> mounts) {

    /**
     * The mount that a path lies on; the upper of two at one point.
     *
     * @param rawPath as the kernel prints it for this namespace, each byte a char, as in {@link Mount#rawPoint}
     */
    @Nullable
    Mount holding(String rawPath) {
        return Mount.holding(mounts, rawPath);
    }
}
