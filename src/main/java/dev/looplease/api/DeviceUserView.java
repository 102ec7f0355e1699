package dev.looplease.api;

import dev.looplease.usage.DeviceUser;
import io.swagger.v3.oas.annotations.media.Schema;
import org.jspecify.annotations.Nullable;

/** One that keeps a device busy. */
@Schema(name = "DeviceUser")
record DeviceUserView(
        @Schema(
                description =
                        "MOUNT: a filesystem on it is mounted. SWAP: the kernel swaps to it. HOLDER: a device-mapper, md or other kernel device stands on it. LOOP: a loop device stands on it. PROCESS: a process has it, or a file on it, open.",
                example = "MOUNT")
        DeviceUser.Kind kind,

        @Schema(
                description =
                        "The mount point, swap device, holder, loop device or opened file; null for a mount in a place that cannot be seen, and where a user looks at what is not theirs.",
                example = "/mnt/test")
        @Nullable
        String target,

        @Schema(
                description =
                        "A process that has the device open, or that sees a mount in another mount namespace; null where there is none to name.",
                example = "4711")
        @Nullable
        Long pid,

        @Schema(
                description =
                        "That process's command name; null without one, and where a user looks at what is not theirs.",
                example = "bash")
        @Nullable
        String command) {

    static DeviceUserView of(DeviceUser user) {
        return new DeviceUserView(user.kind(), user.target(), user.pid(), user.command());
    }
}
