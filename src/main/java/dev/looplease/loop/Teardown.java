package dev.looplease.loop;

import dev.looplease.image.Deletion;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import dev.looplease.usage.BlockTarget;
import dev.looplease.usage.DeviceUser;
import dev.looplease.usage.DeviceUsers;
import dev.looplease.usage.Leftover;
import dev.looplease.usage.StackedLoop;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one way for a device to end, used by DELETE, expiry, shutdown and recovery alike: open it and hold it, verify on
 * that descriptor that it is still ours, free it, detach, close, look whether it is gone, delete the image. Every step is
 * idempotent: already gone is success. It decides nothing about states and leases.
 */
final class Teardown {

    private static final Logger log = LoggerFactory.getLogger(Teardown.class);

    /** A loop device on a loop device on …: the kernel itself stops at 8 ({@code MAX_LO_STACK} has no name there). */
    private static final int DEEPEST_STACK = 16;

    /** How often a device that only udev holds is looked at again. */
    private static final int PROBER_PATIENCE = 20;

    /** How often one that any process holds is: whoever lists all devices, losetup too, opens each for a look. */
    private static final int PASSER_PATIENCE = 2;

    /** What udevd and its workers call themselves, by version. */
    private static final Set<String> PROBERS = Set.of("(udev-worker)", "systemd-udevd", "udevd");

    private static final long PROBER_PAUSE_NANOS = 10_000_000;

    private final Losetup losetup;
    private final ImageStore images;
    private final DeviceUsers users;

    Teardown(Losetup losetup, ImageStore images, DeviceUsers users) {
        this.losetup = losetup;
        this.images = images;
        this.users = users;
    }

    /**
     * Detaches a device that nobody uses.
     *
     * @throws LoopException.DeviceBusy when somebody does; nothing has changed then
     */
    void detachUnused(LoopIdentity attachment) throws IOException {
        try {
            for (int looks = 0; !tryDetachUnused(attachment, looks); looks++) {
                LockSupport.parkNanos(PROBER_PAUSE_NANOS);
            }
        } catch (LosetupException.Gone e) {
            log.debug("It is detached already.", e);
        }
    }

    private boolean tryDetachUnused(LoopIdentity attachment, int looks) throws IOException {
        Optional<LoopHandle> opened = losetup.open(attachment);
        if (opened.isEmpty()) {
            return true;
        }
        try (LoopHandle handle = opened.get()) {
            Step.TEARDOWN_OPENED.reached();
            LoopDevice device = handle.inspect();
            if (handle.isClaimed() || !device.partitions().isEmpty()) {
                refuseIfUsed(device);
                users.dropPartitions(target(device));
            }
            handle.clear();
            Step.TEARDOWN_CLEARED.reached();
        }
        Step.TEARDOWN_CLOSED.reached();
        if (!losetup.isBound(attachment)) {
            return true;
        }
        // Somebody else has it open, and the kernel would now detach at their last close: take that back.
        Optional<LoopHandle> reopened = losetup.open(attachment);
        if (reopened.isEmpty()) {
            return true;
        }
        try (LoopHandle handle = reopened.get()) {
            handle.retain();
            LoopDevice device = handle.inspect();
            List<DeviceUser> found = users(device);
            if (looks == PROBER_PATIENCE || !found.stream().allMatch(user -> mayPass(user, looks))) {
                throw new LoopException.DeviceBusy(device.name(), found);
            }
            return false;
        }
    }

    /**
     * Drops the partitions that somebody added to this number before us: BLKPG's survive a detach, and would show parts of
     * the new image. For a device that has just been attached without asking the kernel to look for partitions.
     *
     * @return the device without them
     */
    LoopDevice dropStrayPartitions(LoopDevice device) throws IOException {
        if (device.partitions().isEmpty()) {
            return device;
        }
        users.dropPartitions(target(device));
        return losetup.inspect(device.number())
                .filter(now -> now.identity().equals(device.identity()))
                .orElseThrow(() -> new LoopException.WrongState(Failures.DETACHED_BEHIND_US));
    }

    private void refuseIfUsed(LoopDevice device) throws IOException {
        List<DeviceUser> found = users(device);
        if (!found.isEmpty()) {
            throw new LoopException.DeviceBusy(device.name(), found);
        }
    }

    /** udev reads a block device after each close that may have written to it; a prober is gone in milliseconds. */
    private static boolean mayPass(DeviceUser user, int looks) {
        boolean prober = PROBERS.contains(String.valueOf(user.command()));
        return user.kind() == DeviceUser.Kind.PROCESS && (prober || looks < PASSER_PATIENCE);
    }

    /** What came of detaching a device that may be in use. */
    enum Detached {
        /** It is unbound. */
        GONE,
        /** Somebody holds it open, and the kernel will detach it when they close it. */
        AT_LAST_CLOSE,
        /** Somebody uses a partition. It would outlive a detach, so this is to be tried again when it is free. */
        NOT_BEFORE_ITS_PARTITIONS
    }

    /**
     * Detaches a device whoever uses it: now, or at the last close.
     *
     * @param freeing whether its users are removed first
     */
    Detached detachUsed(LoopIdentity attachment, boolean freeing) throws IOException {
        if (!clear(attachment, freeing)) {
            return Detached.NOT_BEFORE_ITS_PARTITIONS;
        }
        if (freeing && losetup.isBound(attachment)) {
            Optional<LoopHandle> held = losetup.open(attachment);
            if (held.isPresent()) {
                try (LoopHandle handle = held.get()) {
                    free(handle.inspect(), DEEPEST_STACK);
                    Step.TEARDOWN_FREED.reached();
                    handle.clear();
                }
            }
        }
        return losetup.isBound(attachment) ? Detached.AT_LAST_CLOSE : Detached.GONE;
    }

    /** Asks the kernel to detach, unless there are partitions that cannot be dropped. */
    private boolean clear(LoopIdentity attachment, boolean freeing) throws IOException {
        Optional<LoopHandle> opened = losetup.open(attachment);
        if (opened.isPresent()) {
            try (LoopHandle handle = opened.get()) {
                Step.RELEASE_OPENED.reached();
                LoopDevice device = handle.inspect();
                if (!device.partitions().isEmpty() && !dropPartitions(handle, device, freeing)) {
                    return false;
                }
                handle.clear();
                Step.RELEASE_CLEARED.reached();
            }
            Step.RELEASE_CLOSED.reached();
        }
        return true;
    }

    /** They would survive, and show up under the next image on that number. */
    private boolean dropPartitions(LoopHandle handle, LoopDevice device, boolean freeing) throws IOException {
        if (freeing) {
            free(device, DEEPEST_STACK);
        } else {
            users.dropUnusedPartitions(target(device));
        }
        return handle.inspect().partitions().isEmpty();
    }

    /** Frees a device that the caller holds open: what stands on it first, top down. */
    private void free(LoopDevice device, int depth) throws IOException {
        List<LoopDevice> all = losetup.list();
        for (StackedLoop above : users.loopsOn(target(device), stacked(all, device))) {
            if (depth > 0) {
                freeAbove(all, above, depth);
            }
        }
        List<Leftover> left = users.free(target(device));
        if (!left.isEmpty()) {
            log.atWarn()
                    .addKeyValue("device", device.name())
                    .log("Not everything on {} could be freed: {}", device.name(), left);
        }
    }

    private void freeAbove(List<LoopDevice> all, StackedLoop above, int depth) throws IOException {
        for (LoopDevice candidate : all) {
            if (candidate.number() == above.number()) {
                Optional<LoopHandle> opened = losetup.open(candidate.identity());
                if (opened.isPresent()) {
                    try (LoopHandle handle = opened.get()) {
                        free(handle.inspect(), depth - 1);
                        handle.clear();
                    }
                }
            }
        }
    }

    /**
     * Deletes an image that the agent made, if it is still that file. For a device that is not bound any more.
     */
    void deleteImage(ImageFile image) throws IOException {
        Deletion deletion = images.delete(image);
        if (deletion == Deletion.REPLACED) {
            log.warn("{} is another file now, and was left alone; ours is gone or has another name.", image.path());
        }
    }

    /** Who uses an attached device, looked up now. */
    List<DeviceUser> users(LoopDevice device) throws IOException {
        return users.find(target(device), stacked(losetup.list(), device));
    }

    private static List<StackedLoop> stacked(List<LoopDevice> all, LoopDevice below) {
        List<StackedLoop> others = new ArrayList<>(all.size());
        for (LoopDevice device : all) {
            if (device.number() != below.number()) {
                others.add(new StackedLoop(device.number(), device.backingDevice(), device.backingFile()));
            }
        }
        return others;
    }

    private static BlockTarget target(LoopDevice device) {
        return new BlockTarget(
                device.name(),
                device.node(),
                device.partitions().stream()
                        .map(part -> new BlockTarget.Part(part.number(), part.name(), part.node()))
                        .toList());
    }
}
