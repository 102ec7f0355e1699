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
import java.io.UncheckedIOException;
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

    /** How often a device that only probers hold is looked at again. */
    private static final int PROBER_PATIENCE = 20;

    /** How often one that any process holds is: another agent may open each for a look too. */
    private static final int PASSER_PATIENCE = 2;

    /** How often one whose users were removed: who is left is passing, or a process that keeps it open for longer. */
    private static final int FREED_PATIENCE = 5;

    /** What udevd and its workers call themselves, by version, and those who look at every block device for a moment. */
    private static final Set<String> PROBERS =
            Set.of("(udev-worker)", "systemd-udevd", "udevd", "losetup", "lsblk", "blkid");

    private static final long PROBER_PAUSE_NANOS = 10_000_000;

    private static final int TAKE_BACK_TRIES = 3;

    private final Losetup losetup;
    private final ImageStore images;
    private final DeviceUsers users;
    private final Records records;

    Teardown(Losetup losetup, ImageStore images, DeviceUsers users, Records records) {
        this.records = records;
        this.losetup = losetup;
        this.images = images;
        this.users = users;
    }

    /**
     * Detaches a device that nobody uses.
     *
     * @param ownImage whether nobody else can have mapped its file; where somebody may have, the losetup backend can take
     *     no detach back
     * @throws LoopException.DeviceBusy when somebody does; nothing has changed then
     */
    void detachUnused(LoopIdentity attachment, boolean ownImage) throws IOException {
        for (int looks = 0; !tryDetachUnused(attachment, ownImage, looks); looks++) {
            LockSupport.parkNanos(PROBER_PAUSE_NANOS);
        }
    }

    private boolean tryDetachUnused(LoopIdentity attachment, boolean ownImage, int looks) throws IOException {
        IOException failure = null;
        try {
            if (!clearUnused(attachment, ownImage, looks)) {
                return false;
            }
            Step.TEARDOWN_CLOSED.reached();
            if (isGone(attachment)) {
                return true;
            }
        } catch (LosetupException.Gone e) {
            log.debug("It is detached already.", e);
        } catch (IOException e) {
            // It may have taken effect even so.
            failure = e;
        }
        // Somebody else has it open, and the kernel would now detach at their last close: take that back.
        Optional<LoopDevice> kept = takeBack(attachment);
        if (kept.isEmpty()) {
            return true;
        }
        if (failure != null) {
            throw failure;
        }
        // Not at once: to find who it is means to look at every loop device, and who looks at a device keeps it from
        // others.
        if (looks >= PASSER_PATIENCE) {
            refuseUnlessPassing(kept.get(), users(kept.get()), looks);
        }
        return false;
    }

    /** Asks the kernel to detach; false when it has to be tried again, because something only looks at the device. */
    private boolean clearUnused(LoopIdentity attachment, boolean ownImage, int looks) throws IOException {
        Optional<LoopHandle> opened = losetup.open(attachment);
        if (opened.isPresent()) {
            try (LoopHandle handle = opened.get()) {
                Step.TEARDOWN_OPENED.reached();
                boolean askFirst = !ownImage || !handle.canRetain();
                if (askFirst || handle.isClaimed() || handle.hasPartitions()) {
                    LoopDevice device = handle.inspect();
                    List<DeviceUser> found = users(device);
                    if (!found.isEmpty()) {
                        refuseUnlessPassing(device, found, looks);
                        return false;
                    }
                    users.dropPartitions(target(device));
                }
                handle.clear();
                Step.TEARDOWN_CLEARED.reached();
            }
        }
        return true;
    }

    /**
     * Takes a pending detach back. A driver that fails once must not leave it pending.
     *
     * @return the device, which stays; empty when it is gone
     */
    private Optional<LoopDevice> takeBack(LoopIdentity attachment) throws IOException {
        IOException failure = null;
        for (int tries = 0; tries < TAKE_BACK_TRIES; tries++) {
            try {
                if (isGone(attachment)) {
                    return Optional.empty();
                }
                Optional<LoopDevice> kept = retain(attachment);
                if (kept.isPresent()) {
                    return kept;
                }
            } catch (LosetupException.Refused e) {
                throw new LoopException.DeviceBusy("loop" + attachment.number(), List.of());
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
        throw new LoopException.KernelFailure(
                "The loop driver neither detaches the device nor keeps it.", "EBUSY", null);
    }

    private Optional<LoopDevice> retain(LoopIdentity attachment) throws IOException {
        Optional<LoopHandle> opened = losetup.open(attachment);
        if (opened.isEmpty()) {
            return Optional.empty();
        }
        try (LoopHandle handle = opened.get()) {
            handle.retain();
            return Optional.of(handle.inspect()).filter(device -> !device.autoclear());
        }
    }

    /** Whether an attachment is no more, by two witnesses: what is wrongly taken for gone is nobody's from then on. */
    boolean isGone(LoopIdentity attachment) throws IOException {
        return isGone(losetup, attachment);
    }

    static boolean isGone(Losetup losetup, LoopIdentity attachment) throws IOException {
        try {
            return !losetup.isBound(attachment)
                    && losetup.inspect(attachment.number())
                            .filter(now -> now.identity().equals(attachment))
                            .isEmpty();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /**
     * An attachment of a device whose attach failed so that nobody knows what came of it: one with its tag or, where the
     * backend sets none, one of the image that the agent made for it alone.
     *
     * @throws LoopException.KernelFailure when there may be one that cannot be read
     */
    Optional<LoopIdentity> findStray(ManagedLoop loop) throws IOException {
        ImageFile image = loop.standing().image();
        List<LoopDevice> all = losetup.list();
        Optional<LoopIdentity> stray = all.stream()
                .filter(device -> device.tag().isEmpty()
                        ? loop.ownsImage() && image != null && isOn(device, image)
                        : device.tag().equals(records.tag(loop.id())))
                .map(LoopDevice::identity)
                .findFirst();
        if (stray.isEmpty()
                && image != null
                && losetup.unlistedImages(all).contains(image.path().toString())) {
            throw new LoopException.KernelFailure(
                    "A device is bound to the image, and cannot be read to see whose it is.", "EIO", null);
        }
        return stray;
    }

    private static boolean isOn(LoopDevice device, ImageFile image) {
        return device.backingInode() == image.inode() && device.backingDevice().equals(image.device());
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

    private static void refuseUnlessPassing(LoopDevice device, List<DeviceUser> found, int looks) {
        if (looks == PROBER_PATIENCE || !found.stream().allMatch(user -> mayPass(user, looks))) {
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
        if (freeing && !isGone(attachment)) {
            Optional<LoopHandle> held = losetup.open(attachment);
            if (held.isPresent()) {
                try (LoopHandle handle = held.get()) {
                    free(handle.inspect(), DEEPEST_STACK);
                    Step.TEARDOWN_FREED.reached();
                    handle.clear();
                }
            }
        }
        return isGoneSoon(attachment, freeing ? FREED_PATIENCE : 0) ? Detached.GONE : Detached.AT_LAST_CLOSE;
    }

    private boolean isGoneSoon(LoopIdentity attachment, int moreLooks) throws IOException {
        boolean gone = isGone(attachment);
        for (int looks = 0; looks < moreLooks && !gone; looks++) {
            LockSupport.parkNanos(PROBER_PAUSE_NANOS);
            gone = isGone(attachment);
        }
        return gone;
    }

    /** Asks the kernel to detach, unless there are partitions that cannot be dropped. */
    private boolean clear(LoopIdentity attachment, boolean freeing) throws IOException {
        Optional<LoopHandle> opened = losetup.open(attachment);
        if (opened.isPresent()) {
            try (LoopHandle handle = opened.get()) {
                Step.RELEASE_OPENED.reached();
                if (handle.hasPartitions() && !dropPartitions(handle, handle.inspect(), freeing)) {
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
        return !handle.hasPartitions();
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
        if (deletion == Deletion.ALREADY_GONE && images.isUnmounted(image)) {
            throw new IOException("The filesystem of " + image.path() + " is not mounted.");
        }
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
                others.add(new StackedLoop(
                        device.number(), device.backingDevice(), device.backingNode(), device.backingFile()));
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
