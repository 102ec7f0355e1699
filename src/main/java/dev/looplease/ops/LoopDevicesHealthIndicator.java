package dev.looplease.ops;

import dev.looplease.image.ImageStore;
import dev.looplease.image.Space;
import dev.looplease.journal.StateDirectory;
import dev.looplease.loop.LoopRegistry;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.LoopState;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.Losetups;
import dev.looplease.posix.FilesystemStat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.stereotype.Component;

/**
 * Whether this agent can lend devices, and if not, what to do about it. A full agent or disk is no reason to take it out
 * of service: it still renews, returns and cleans up; such things are warnings.
 */
@Component("loopDevices")
class LoopDevicesHealthIndicator implements HealthIndicator {

    private static final Path CONTROL = Path.of("/dev/loop-control");

    /** Below this share of free space a filesystem counts as nearly full. */
    private static final double NEARLY_FULL = 0.05;

    private final LoopService service;
    private final Losetup losetup;
    private final ImageStore images;
    private final StateDirectory state;
    private final Path control;

    @Autowired
    LoopDevicesHealthIndicator(
            LoopService service,
            Losetup losetup,
            ImageStore images,
            @Qualifier("stateDirectory") StateDirectory state) {
        this(service, losetup, images, state, CONTROL);
    }

    /** For a test: another place in which to look for the driver. */
    LoopDevicesHealthIndicator(
            LoopService service, Losetup losetup, ImageStore images, StateDirectory state, Path control) {
        this.service = service;
        this.losetup = losetup;
        this.images = images;
        this.state = state;
        this.control = control;
    }

    @Override
    public Health health() {
        List<String> problems = new ArrayList<>();
        List<String> warnings = new ArrayList<>();
        checkDriver(problems);
        LoopRegistry.Usage usage = service.usage();
        if (usage.devices() >= service.limits().maxDevices()) {
            warnings.add("All " + service.limits().maxDevices()
                    + " devices are lent. Return some, or raise looplease.max-devices.");
        }
        long stuck = service.count(LoopState.STUCK);
        if (stuck > 0) {
            warnings.add(
                    stuck + " devices are stuck: their clean-up fails again and again. See /loop-devices?state=STUCK"
                            + " and the log; they are retried every minute.");
        }
        service.recovered()
                .filter(report -> report.unproven() + report.setAside() > 0)
                .ifPresent(
                        report -> warnings.add(
                                "At the last start " + report.setAside() + " records made no sense and "
                                        + report.unproven()
                                        + " images or attachments could not be proven to be ours; they were left alone. The log names them."));
        Health.Builder health = Health.up();
        checkImages(health, problems, warnings);
        checkState(problems, warnings);
        if (!problems.isEmpty()) {
            health.down();
        }
        return health.withDetail("backend", losetup.backend())
                .withDetail("devices", usage.devices())
                .withDetail("maxDevices", service.limits().maxDevices())
                .withDetail("stuckDevices", stuck)
                .withDetail("problems", problems)
                .withDetail("warnings", warnings)
                .build();
    }

    private void checkImages(Health.Builder health, List<String> problems, List<String> warnings) {
        try {
            if (!images.isWritable()) {
                problems.add("The images directory is not writable. Mount it read-write, or set looplease.images-dir.");
            }
            Space space = images.space();
            health.withDetail("freeBytes", space.freeBytes()).withDetail("totalBytes", space.totalBytes());
            if (isNearlyFull(space.freeBytes(), space.totalBytes())) {
                warnings.add("The images' filesystem is nearly full. Return devices, or enlarge it.");
            }
        } catch (IOException e) {
            problems.add("The images directory cannot be read: " + e.getMessage());
        }
    }

    /** Without room for a record nothing new can be made, however empty the images' filesystem is. */
    private void checkState(List<String> problems, List<String> warnings) {
        try {
            FilesystemStat filesystem = state.filesystem();
            if (isNearlyFull(filesystem.availableBytes(), filesystem.totalBytes())) {
                warnings.add(
                        "The filesystem of the state directory is nearly full. Once the agent cannot record what it"
                                + " does there, it makes nothing new. Enlarge it, or set looplease.state-dir.");
            }
        } catch (IOException e) {
            problems.add("The state directory cannot be read: " + e.getMessage());
        }
    }

    private static boolean isNearlyFull(long freeBytes, long totalBytes) {
        return freeBytes < totalBytes * NEARLY_FULL;
    }

    private void checkDriver(List<String> problems) {
        if (!Files.exists(control)) {
            problems.add(
                    "There is no /dev/loop-control. Load the driver (modprobe loop); in a container, pass the host's"
                            + " /dev (-v /dev:/dev).");
        } else if (!Files.isWritable(control)) {
            problems.add("/dev/loop-control is not writable. Run the agent as root; in a container, --privileged.");
        }
        if (losetup.backend().equals("losetup") && Losetups.commandVersion().isEmpty()) {
            problems.add("There is no losetup. Install util-linux, or set looplease.backend=ioctl.");
        }
    }
}
