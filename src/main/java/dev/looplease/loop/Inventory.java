package dev.looplease.loop;

import dev.looplease.image.ImageException;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.Presence;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What there is: the kernel's devices and the registry's, brought together. Where they differ the kernel wins, and the
 * record is mended.
 */
final class Inventory {

    private static final Logger log = LoggerFactory.getLogger(Inventory.class);

    private static final Comparator<LoopSnapshot> BY_NUMBER_THEN_ID = Comparator.comparingInt((LoopSnapshot loop) ->
                    loop.observed().map(LoopDevice::number).orElse(Integer.MAX_VALUE))
            .thenComparing(loop -> loop.managed().map(LoopSnapshot.Managed::id).orElse(""));

    private final LoopRegistry registry;
    private final Losetup losetup;
    private final ImageStore images;
    private final Ticker ticker;
    private final LoopEvent.Listener events;

    Inventory(LoopRegistry registry, Losetup losetup, ImageStore images, Ticker ticker, LoopEvent.Listener events) {
        this.registry = registry;
        this.losetup = losetup;
        this.images = images;
        this.ticker = ticker;
        this.events = events;
    }

    /** Finds a device of ours that somebody has been told of, or says why it is not there. */
    ManagedLoop find(String id, Caller caller) {
        Optional<ManagedLoop> loop =
                registry.loop(id).filter(found -> found.wasAnnounced() && caller.sees(found.owner()));
        if (loop.isPresent()) {
            return loop.get();
        }
        throw registry.ending(id)
                .filter(ending -> caller.sees(ending.owner()))
                .<LoopException>map(ending -> new LoopException.Ended("device", id, ending.reason()))
                .orElseGet(() -> new LoopException.NotFound("device", id));
    }

    /** The attached device of that name. */
    LoopDevice attached(DeviceRef.Name name) {
        return inspect(name.number()).filter(device -> !isBeingMade(device)).orElseThrow(() -> notAttached(name));
    }

    static LoopException.NotFound notAttached(DeviceRef.Name name) {
        return new LoopException.NotFound("attached loop device", name.toString());
    }

    /** Whose attachment this is, when it is one of ours. */
    Optional<ManagedLoop> owner(LoopDevice device) {
        return registry.loop(device.number())
                .filter(loop -> loop.wasAnnounced()
                        && device.identity().equals(loop.standing().attachment()));
    }

    /** One of ours that nobody has been told of yet; it must not be taken for a foreign one. */
    private boolean isBeingMade(LoopDevice device) {
        Path image = Path.of(device.backingFile());
        return images.directory().equals(image.getParent())
                && registry.loop(ImageStore.idOf(image))
                        .filter(loop -> !loop.wasAnnounced())
                        .isPresent();
    }

    LoopSnapshot observe(LoopDevice device) {
        return owner(device)
                .map(loop -> snapshot(loop, Optional.of(device)))
                .orElseGet(() -> new LoopSnapshot(Optional.empty(), Optional.of(device)));
    }

    /** What the kernel says of one of ours; a device that it lost is noted as such. */
    LoopSnapshot observe(ManagedLoop loop) {
        Optional<LoopDevice> device = attachment(loop);
        if (device.isEmpty() && loop.standing().state() == LoopState.READY) {
            mend(loop);
            device = attachment(loop);
        }
        return snapshot(loop, device);
    }

    /** The device's attachment as the kernel has it now; empty when that is no more. */
    Optional<LoopDevice> attachment(ManagedLoop loop) {
        LoopIdentity attachment = loop.standing().attachment();
        return attachment == null
                ? Optional.empty()
                : inspect(attachment.number()).filter(now -> now.identity().equals(attachment));
    }

    private Optional<LoopDevice> inspect(int number) {
        try {
            return losetup.inspect(number);
        } catch (LosetupException e) {
            throw Failures.of(e);
        }
    }

    /** Every attached loop device of the host by number, then our detached ones by id, as the caller may see them. */
    List<LoopSnapshot> list(Predicate<LoopSnapshot> wanted, Caller caller) {
        List<LoopDevice> attached;
        try {
            attached = losetup.list();
        } catch (LosetupException e) {
            throw Failures.of(e);
        }
        List<LoopSnapshot> all = new ArrayList<>(attached.size());
        Set<String> seen = new HashSet<>();
        for (LoopDevice device : attached) {
            if (isBeingMade(device)) {
                continue;
            }
            LoopSnapshot snapshot = observe(device);
            snapshot.managed().ifPresent(ours -> seen.add(ours.id()));
            // Asked of what the caller sees: a filter must not tell what the list does not show.
            caller.view(snapshot).filter(wanted).ifPresent(all::add);
        }
        for (ManagedLoop loop : registry.loops()) {
            if (loop.wasAnnounced() && caller.sees(loop.owner()) && !seen.contains(loop.id())) {
                LoopSnapshot snapshot = observe(loop);
                if (registry.loop(loop.id()).isPresent()) {
                    caller.view(snapshot).filter(wanted).ifPresent(all::add);
                }
            }
        }
        all.sort(BY_NUMBER_THEN_ID);
        return all;
    }

    /** Brings every record in line with the kernel; one that cannot be judged now does not keep the others from it. */
    void mendAll() {
        for (ManagedLoop loop : registry.loops()) {
            try {
                mend(loop);
            } catch (LoopException e) {
                log.warn("{} could not be compared with the kernel.", loop.id(), e);
            }
        }
    }

    /**
     * Brings our record in line with the kernel: an attachment that is no more makes the device DETACHED, or ends it as
     * LOST when its image is gone too. Does nothing while somebody else changes the device.
     */
    void mend(ManagedLoop loop) {
        if (!loop.work().tryLock()) {
            return;
        }
        try {
            Standing standing = loop.standing();
            ImageFile image = standing.image();
            boolean lives = standing.state() == LoopState.READY || standing.state() == LoopState.DETACHED;
            if (!lives || image == null || registry.loop(loop.id()).isEmpty()) {
                return;
            }
            if (standing.attachment() != null && losetup.isBound(standing.attachment())) {
                return;
            }
            if (presence(image) != Presence.PRESENT) {
                lose(loop);
            } else if (standing.state() == LoopState.READY) {
                registry.insist(loop, now -> now.withAttachment(null).become(LoopState.READY, LoopState.DETACHED));
                events.happened(
                        Releaser.event(LoopEvent.Type.DEVICE_DETACHED, loop, "detached behind the agent's back"));
            }
        } finally {
            loop.work().unlock();
        }
    }

    /** Ends a device that has neither attachment nor image any more. */
    void lose(ManagedLoop loop) {
        registry.forget(loop, EndReason.LOST);
        events.happened(Releaser.event(LoopEvent.Type.DEVICE_LOST, loop, "its image is gone"));
    }

    private Presence presence(ImageFile image) {
        try {
            return images.presence(image);
        } catch (ImageException e) {
            throw Failures.of(e);
        }
    }

    private long allocatedBytes(ImageFile image) {
        try {
            return images.allocatedBytes(image);
        } catch (ImageException e) {
            throw Failures.of(e);
        }
    }

    LoopSnapshot snapshot(ManagedLoop loop, Optional<LoopDevice> device) {
        ManagedLoop.Versioned versioned = loop.versioned();
        Standing standing = versioned.standing();
        ImageFile image = standing.image();
        LoopSpec spec = loop.spec();
        return new LoopSnapshot(
                Optional.of(new LoopSnapshot.Managed(
                        loop.id(),
                        loop.etag(versioned.revision()),
                        standing.state(),
                        loop.owner(),
                        loop.createTime(),
                        standing.labels(),
                        image == null ? null : image.path().toString(),
                        image == null ? 0 : image.sizeBytes(),
                        image == null ? 0 : allocatedBytes(image),
                        spec.offsetBytes(),
                        spec.sizeLimitBytes(),
                        standing.sectorSize(),
                        spec.readOnly(),
                        spec.partScan(),
                        standing.lease().snapshot(ticker.nanos()))),
                device);
    }
}
