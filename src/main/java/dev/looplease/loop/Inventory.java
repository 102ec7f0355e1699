package dev.looplease.loop;

import dev.looplease.image.ImageException;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.Presence;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What there is: the kernel's devices and the registry's, brought together. Where they differ the kernel wins, and the
 * record is mended.
 */
final class Inventory {

    private static final Logger log = LoggerFactory.getLogger(Inventory.class);

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
        Optional<ManagedLoop> loop = registry.loop(id).filter(found -> found.isKnown() && caller.sees(found.owner()));
        if (loop.isPresent()) {
            return loop.get();
        }
        throw registry.deviceEnding(id)
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
                .filter(loop -> loop.isKnown()
                        && device.identity().equals(loop.standing().attachment()));
    }

    /**
     * One of ours that nobody has been told of yet; it must not be taken for a foreign one. Until its attachment is noted
     * only the name of its image tells.
     */
    private boolean isBeingMade(LoopDevice device) {
        return registry.loop(device.number())
                .filter(loop -> device.identity().equals(loop.standing().attachment()))
                .or(() -> Optional.of(device.backingFile())
                        .filter(images::holds)
                        .flatMap(image -> registry.loop(ImageStore.idOf(image))))
                .filter(loop -> !loop.isKnown())
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
        return kernel(() -> losetup.inspect(number));
    }

    /**
     * A part of the list: every attached loop device of the host by number, then our detached ones by id, as the caller may
     * see them. Only as many devices are looked at as the part needs.
     */
    Slice list(DeviceFilter filter, Slice.Place after, int most, Caller caller) {
        Walk walk = new Walk(filter, most, caller);
        if (!after.isDetached()) {
            walk.attached(after.number());
        }
        if (!walk.isFull()) {
            walk.detached(after.id());
        }
        return walk.slice();
    }

    /** One part of the list in the making. It looks for one more than is wanted, to know whether there is more. */
    private final class Walk {

        private final DeviceFilter filter;
        private final int most;
        private final Caller caller;
        private final List<LoopSnapshot> items = new ArrayList<>();
        private final List<Slice.Place> places = new ArrayList<>();
        private final Set<ManagedLoop> seen = new HashSet<>();
        /** Detached when the walk began; or the kernel has lost them, as the walk found. */
        private final Set<ManagedLoop> detached = new HashSet<>();

        Walk(DeviceFilter filter, int most, Caller caller) {
            this.filter = filter;
            this.most = most;
            this.caller = caller;
            for (ManagedLoop loop : registry.loops()) {
                if (loop.standing().attachment() == null) {
                    detached.add(loop);
                }
            }
        }

        boolean isFull() {
            return items.size() > most;
        }

        Slice slice() {
            return isFull()
                    ? new Slice(List.copyOf(items.subList(0, most)), places.get(most - 1))
                    : new Slice(List.copyOf(items), null);
        }

        void attached(int after) {
            SortedSet<Integer> numbers = new TreeSet<>(registry.numbers());
            if (filter.wantsForeign(caller)) {
                numbers.addAll(kernel(losetup::numbers));
            }
            List<Integer> left = new ArrayList<>(numbers.tailSet(after + 1));
            for (int from = 0; from < left.size() && !isFull(); ) {
                int to = Math.min(left.size(), from + most + 1 - items.size());
                look(left.subList(from, to));
                from = to;
            }
        }

        private void look(List<Integer> numbers) {
            List<Integer> candidates =
                    numbers.stream().filter(this::mayBeWanted).toList();
            Set<ManagedLoop> lost = new HashSet<>();
            candidates.forEach(number -> registry.loop(number).ifPresent(lost::add));
            for (LoopDevice device : kernel(() -> losetup.list(candidates))) {
                Optional<ManagedLoop> owner = owner(device);
                owner.ifPresent(lost::remove);
                boolean wanted = owner.map(loop -> filter.wants(loop, caller))
                        .orElseGet(() -> filter.wantsForeign(caller) && !isBeingMade(device));
                if (wanted) {
                    owner.ifPresent(seen::add);
                    add(
                            owner.map(loop -> asFarAsKnown(
                                            loop, Optional.of(device), () -> snapshot(loop, Optional.of(device))))
                                    .orElseGet(() -> new LoopSnapshot(Optional.empty(), Optional.of(device))),
                            Slice.Place.at(device.number()));
                }
            }
            for (ManagedLoop loop : lost) {
                mend(loop);
                detached.add(loop);
            }
        }

        /** What is on record of one whose image's disk fails: it must not cost the others their places. */
        private LoopSnapshot asFarAsKnown(ManagedLoop loop, Optional<LoopDevice> device, Supplier<LoopSnapshot> look) {
            try {
                return look.get();
            } catch (LoopException.KernelFailure e) {
                return snapshot(loop, device, ImageStore.Sight::recorded);
            }
        }

        private void add(LoopSnapshot snapshot, Slice.Place place) {
            caller.view(snapshot).ifPresent(seenByCaller -> {
                items.add(seenByCaller);
                places.add(place);
            });
        }

        private boolean mayBeWanted(int number) {
            Optional<ManagedLoop> recorded = registry.loop(number);
            if (recorded.isEmpty() || filter.wants(recorded.get(), caller)) {
                return recorded.isPresent() || filter.wantsForeign(caller);
            }
            LoopIdentity attachment = recorded.get().standing().attachment();
            return filter.wantsForeign(caller) && (attachment == null || !losetup.isBound(attachment));
        }

        void detached(String after) {
            for (ManagedLoop loop : registry.loops()) {
                if (loop.standing().attachment() == null) {
                    detached.add(loop);
                }
            }
            List<ManagedLoop> left = detached.stream()
                    .filter(loop -> loop.isKnown() && loop.id().compareTo(after) > 0)
                    .filter(loop -> filter.wants(loop, caller) && !seen.contains(loop))
                    .sorted(Comparator.comparing(ManagedLoop::id))
                    .toList();
            for (ManagedLoop loop : left) {
                if (isFull()) {
                    return;
                }
                LoopSnapshot snapshot = asFarAsKnown(loop, Optional.empty(), () -> observe(loop));
                if (registry.loop(loop.id()).isPresent()) {
                    add(snapshot, Slice.Place.at(loop.id()));
                }
            }
        }
    }

    private interface Look<T> {
        T ask() throws LosetupException;
    }

    private static <T> T kernel(Look<T> look) {
        try {
            return look.ask();
        } catch (LosetupException e) {
            throw Failures.of(e);
        }
    }

    /** Lets the kernel have as many loop devices as it should; that it could not is no reason to stop. */
    void tendNodes() {
        try {
            losetup.tend();
        } catch (LosetupException e) {
            log.warn("Free loop devices could not be added or removed.", e);
        }
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
            if (standing.attachment() != null && !isGone(standing.attachment())) {
                return;
            }
            if (presence(image) != Presence.PRESENT) {
                if (!isUnmounted(image)) {
                    lose(loop);
                }
            } else if (standing.state() == LoopState.READY) {
                registry.insist(loop, now -> now.withAttachment(null).become(LoopState.READY, LoopState.DETACHED));
                events.happened(
                        Releaser.event(LoopEvent.Type.DEVICE_DETACHED, loop, "detached behind the agent's back"));
            }
        } finally {
            loop.work().unlock();
        }
    }

    private boolean isGone(LoopIdentity attachment) {
        try {
            return Teardown.isGone(losetup, attachment);
        } catch (IOException e) {
            throw Failures.of(e);
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

    /** Whether nobody can tell what became of an image, because its filesystem is not mounted. */
    boolean isUnmounted(ImageFile image) {
        try {
            return images.isUnmounted(image);
        } catch (ImageException e) {
            throw Failures.of(e);
        }
    }

    private ImageStore.Sight look(ImageFile image) {
        try {
            return images.look(image);
        } catch (ImageException e) {
            throw Failures.of(e);
        }
    }

    /** As it is now: somebody may have made it longer or shorter. Without its name nobody can look, nor then change it. */
    private static @Nullable Long imageBytes(
            @Nullable ImageFile image, ImageStore.@Nullable Sight sight, Optional<LoopDevice> device) {
        if (image == null || sight == null) {
            return 0L;
        }
        if (sight.presence() == Presence.PRESENT) {
            return sight.sizeBytes();
        }
        return device.isPresent() ? image.sizeBytes() : null;
    }

    LoopSnapshot snapshot(ManagedLoop loop, Optional<LoopDevice> device) {
        return snapshot(loop, device, this::look);
    }

    private LoopSnapshot snapshot(
            ManagedLoop loop, Optional<LoopDevice> device, Function<ImageFile, ImageStore.Sight> look) {
        ManagedLoop.Versioned versioned = loop.versioned();
        Standing standing = versioned.standing();
        ImageFile image = standing.image();
        ImageStore.Sight sight = image == null ? null : look.apply(image);
        boolean inPlace = sight != null && sight.presence() == Presence.PRESENT;
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
                        inPlace,
                        imageBytes(image, sight, device),
                        sight == null ? 0 : sight.allocatedBytes(),
                        spec.offsetBytes(),
                        spec.sizeLimitBytes(),
                        standing.sectorSize(),
                        spec.readOnly(),
                        spec.partScan(),
                        standing.lease().snapshot(ticker.nanos()))),
                device);
    }
}
