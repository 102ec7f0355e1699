package dev.looplease.api;

import dev.looplease.image.ImageStore;
import dev.looplease.image.Space;
import dev.looplease.loop.HostProbe;
import dev.looplease.loop.Limits;
import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopRegistry;
import dev.looplease.loop.LoopService;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.Losetups;
import io.swagger.v3.oas.annotations.Operation;
import io.swagger.v3.oas.annotations.responses.ApiResponse;
import io.swagger.v3.oas.annotations.tags.Tag;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.MediaType;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** {@code /host}: where this agent is and what it can do. */
@RestController
@Tag(name = "Host", description = "The host and what its agent can do.")
class HostController {

    private static final Logger log = LoggerFactory.getLogger(HostController.class);

    private static final List<Path> PROGRAMS = List.of(Path.of("/usr/sbin"), Path.of("/sbin"), Path.of("/usr/bin"));

    /** The kernel's own: asking a resolver for it can hang. */
    private static final Path HOST_NAME = Path.of("/proc/sys/kernel/hostname");

    private final LoopService service;
    private final Losetup losetup;
    private final ImageStore images;
    private final HostProbe probe;

    HostController(LoopService service, Losetup losetup, ImageStore images, HostProbe probe) {
        this.service = service;
        this.losetup = losetup;
        this.images = images;
        this.probe = probe;
    }

    @GetMapping(path = "/host", produces = MediaType.APPLICATION_JSON_VALUE)
    @Operation(
            operationId = "getHost",
            summary = "Look at the host",
            description =
                    "Name, kernel, limits, what is lent and what is free, and what the kernel can do: that is found out by trying, at the first call.")
    @ApiResponse(responseCode = "200", description = "The host.")
    HostView host() throws IOException {
        return new HostView(
                Files.readString(HOST_NAME).strip(),
                System.getProperty("os.version", ""),
                System.getProperty("os.arch", ""),
                losetup.backend(),
                Losetups.commandVersion().orElse(null),
                limits(service.limits()),
                capacity(),
                capabilities());
    }

    private static HostView.Limits limits(Limits limits) {
        return new HostView.Limits(
                limits.maxDevices(),
                orNull(limits.maxImageBytes()),
                orNull(limits.maxTotalBytes()),
                limits.defaultTtl().toSeconds(),
                limits.minTtl().toSeconds(),
                limits.maxTtl().toSeconds(),
                limits.allowPermanent(),
                limits.grace().toSeconds());
    }

    private static @Nullable Long orNull(OptionalLong value) {
        return value.isPresent() ? value.getAsLong() : null;
    }

    private HostView.Capacity capacity() throws IOException {
        LoopRegistry.Usage usage = service.usage();
        Space space = images.space();
        return new HostView.Capacity(
                usage.devices(),
                Math.max(0, service.limits().maxDevices() - usage.devices()),
                usage.promisedBytes(),
                space.freeBytes(),
                space.totalBytes());
    }

    /** Null where not even a small device can be made: the health details say why. */
    private HostView.@Nullable Capabilities capabilities() throws IOException {
        HostProbe.Abilities abilities;
        try {
            abilities = probe.abilities();
        } catch (LoopException e) {
            log.warn("What this host can do cannot be tried: {}", e.getMessage());
            return null;
        }
        return new HostView.Capabilities(
                abilities.partitionScan(), abilities.directIo(), abilities.largestSectorSize(), filesystems());
    }

    private static List<String> filesystems() throws IOException {
        TreeSet<String> found = new TreeSet<>();
        for (Path directory : PROGRAMS) {
            if (!Files.isDirectory(directory)) {
                continue;
            }
            try (Stream<Path> files = Files.list(directory)) {
                files.map(file -> file.getFileName().toString())
                        .filter(name -> name.startsWith("mkfs."))
                        .map(name -> name.substring("mkfs.".length()))
                        .forEach(found::add);
            }
        }
        return List.copyOf(found);
    }
}
