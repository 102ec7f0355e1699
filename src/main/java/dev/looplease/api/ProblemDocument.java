package dev.looplease.api;

import dev.looplease.loop.EndReason;
import dev.looplease.loop.FieldError;
import io.swagger.v3.oas.annotations.media.Schema;
import java.net.URI;
import java.util.List;
import java.util.Optional;

/**
 * What a problem document looks like to clients. Only described by this, never made from it: {@link Problems} makes them.
 * An {@link Optional} member is left out where it does not apply.
 */
@Schema(name = "Problem")
record ProblemDocument(
        @Schema(
                description = "What kind of problem it is: decide by this, not by the texts.",
                format = "uri-reference",
                example = "/problems/device-busy")
        URI type,

        @Schema(description = "The kind in words, always the same for a type.", example = "The device is in use")
        String title,

        @Schema(description = "The HTTP status, again.", minimum = "400", maximum = "599", example = "409")
        int status,

        @Schema(
                description = "What happened this time and what can be done about it.",
                example = "loop7 is in use; nothing was changed.")
        String detail,

        @Schema(
                description = "The path that was asked for.",
                format = "uri-reference",
                example = "/loop-devices/k3v9x0q2m7adp1c8")
        Optional<URI> instance,

        @Schema(
                description =
                        "With invalid-request: fields that are wrong; others may show when these are mended. With insufficient-storage: the one that asks for too much.")
        Optional<List<FieldError>> errors,

        @Schema(description = "With device-busy: who uses the device.")
        Optional<List<DeviceUserView>> users,

        @Schema(description = "With ended: why it is no more.")
        Optional<EndReason> endReason,

        @Schema(description = "With kernel-error: the kernel's error by its C name.", example = "EIO")
        Optional<String> errno) {}
