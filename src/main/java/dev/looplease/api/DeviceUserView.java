package dev.looplease.api;

import dev.looplease.usage.DeviceUser;
import io.swagger.v3.oas.annotations.media.Schema;
import org.jspecify.annotations.Nullable;

/** One that keeps a device busy. */
@Schema(name = "DeviceUser")
record DeviceUserView(
        DeviceUser.Kind kind,

        @Schema(
                description =
                        "The mount point, swap device, holder, loop device or opened file; null for a mount in a place that cannot be seen.",
                example = "/mnt/test")
        @Nullable
        String target,

        @Schema(
                description = "A process in whose mount namespace the mount is, or that has the device open.",
                example = "4711")
        @Nullable
        Long pid,

        @Schema(description = "That process's command name.", example = "bash") @Nullable
        String command) {

    static DeviceUserView of(DeviceUser user) {
        return new DeviceUserView(user.kind(), user.target(), user.pid(), user.command());
    }
}
