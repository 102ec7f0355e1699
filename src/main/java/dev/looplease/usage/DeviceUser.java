package dev.looplease.usage;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Somebody who uses a block device.
 *
 * @param kind how
 * @param target where: the mount point as its namespace has it; the swap area; {@code dm-0 (data)}; {@code /dev/loop9};
 *     what the process has open, {@code /mnt/x (cwd)}. Null for a mount that the kernel has and {@code /proc} does not show
 * @param pid the process; for a mount one that lives in its namespace, where that is not the agent's own
 * @param command that process's name, at most 15 characters of it; null once it is gone
 */
public record DeviceUser(
        Kind kind,
        @Nullable String target,
        @Nullable Long pid,
        @Nullable String command) {

    public DeviceUser {
        if (kind == Kind.PROCESS && pid == null) {
            throw new IllegalArgumentException("pid: a process has one");
        }
    }

    /** How a device is used. */
    public enum Kind {
        /** A filesystem of it is mounted. */
        MOUNT,
        /** The kernel swaps to it, or to a file on it. */
        SWAP,
        /** A device-mapper, md or other kernel device stands on it. */
        HOLDER,
        /** A loop device stands on it. */
        LOOP,
        /** A process has it open, or a file or directory of a filesystem on it. */
        PROCESS
    }

    /** For people: {@code mount /mnt/x, seen by process 4711 (sleep)}. */
    String describe() {
        String process = pid == null ? "" : "process " + pid + (command == null ? "" : " (" + command + ")");
        if (kind == Kind.PROCESS) {
            return process + ": " + target;
        }
        return kind.name().toLowerCase(Locale.ROOT) + " "
                + (target == null ? "that /proc does not show" : target)
                + (pid == null ? "" : ", seen by " + process);
    }
}
