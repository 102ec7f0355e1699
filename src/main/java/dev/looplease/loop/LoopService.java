package dev.looplease.loop;

import dev.looplease.image.ImageException;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.OpenImage;
import dev.looplease.image.Presence;
import dev.looplease.journal.Journal;
import dev.looplease.losetup.Attachment;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import dev.looplease.usage.DeviceUser;
import dev.looplease.usage.DeviceUsers;
import java.io.IOException;
import java.time.Clock;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lends loop devices. The only code that knows the order in which a device is made, changed and given back; whatever
 * fails on the way, what was done before is undone by the one way in which every device ends.
 */
public final class LoopService {

    private static final Logger log = LoggerFactory.getLogger(LoopService.class);

    /** How long a call waits for another one that changes the same device. */
    private static final int WAIT_SECONDS = 30;

    private final Losetup losetup;
    private final ImageStore images;
    private final Limits limits;
    private final Ticker ticker;
    private final Clock clock;
    private final LoopEvent.Listener events;
    private final Records records;
    private final RequestKeys keys = new RequestKeys();
    private final LoopRegistry registry;
    private final Inventory inventory;
    private final Teardown teardown;
    private final Releaser releaser;
    private final LeaseBook leases;
    private final DeviceEditor editor;
    private final Reaper reaper;
    private final Recovery recovery;
    private volatile Phase phase = Phase.RECOVERING;
    private volatile boolean closed;

    /** What the agent is ready for. */
    public enum Phase {
        /** It compares what it remembers with the kernel. */
        RECOVERING,
        /** Everything. */
        SERVING,
        /** Nothing new. */
        STOPPING
    }

    /** What was asked for, and whether it is an earlier answer to the same Idempotency-Key. */
    public record Answer<T>(T value, boolean repeated) {}

    /** A lease with its devices. */
    public record Group(LeaseSnapshot lease, List<LoopSnapshot> devices) {}

    /**
     * Builds the service around the ground floor; {@link #recover} makes it ready.
     *
     * @param bootId which run of the kernel this is: {@code /proc/sys/kernel/random/boot_id}
     */
    public LoopService(
            Losetup losetup,
            ImageStore images,
            DeviceUsers users,
            Journal journal,
            String bootId,
            Limits limits,
            Ticker ticker,
            Clock clock,
            LoopEvent.Listener events)
            throws IOException {
        this.losetup = losetup;
        this.images = images;
        this.limits = limits;
        this.ticker = ticker;
        this.clock = clock;
        this.events = events;
        Agenda agenda = new Agenda();
        this.records = new Records(journal, bootId, images.directoryId(), ticker, clock);
        this.registry = new LoopRegistry(limits, ticker, agenda, records, keys);
        this.inventory = new Inventory(registry, losetup, images, ticker, events);
        this.teardown = new Teardown(losetup, images, users, records);
        this.releaser = new Releaser(registry, teardown, ticker, agenda, events);
        this.leases = new LeaseBook(registry, releaser, agenda, limits, records, ticker, clock, events);
        this.editor = new DeviceEditor(registry, inventory, losetup, images, teardown, limits);
        this.reaper = new Reaper(leases, registry, inventory, releaser, agenda, ticker, limits.grace());
        this.recovery = new Recovery(
                records, registry, keys, leases, releaser, losetup, images, ticker, clock, limits, this::reattach);
    }

    /** Brings records, images and kernel together, then serves. */
    public Recovery.Report recover() {
        Recovery.Report report = recovery.run();
        reaper.start();
        become(Phase.RECOVERING, Phase.SERVING);
        inventory.tendNodes();
        return report;
    }

    /** For tests that move the clock: does now what the reaper's thread would do. */
    void reap() {
        reaper.look();
    }

    public Phase phase() {
        return phase;
    }

    /** What the last start found; empty before it has. */
    public Optional<Recovery.Report> recovered() {
        return recovery.report();
    }

    /** What is lent now. */
    public LoopRegistry.Usage usage() {
        return registry.usage();
    }

    /** How many devices are in that state now. */
    public long count(LoopState state) {
        return registry.loops().stream()
                .filter(loop -> loop.standing().state() == state)
                .count();
    }

    /** What may be lent. */
    public Limits limits() {
        return limits;
    }

    // Making

    /**
     * Makes a device, and answers when the kernel has confirmed what was asked.
     *
     * @param caller whose it will be
     * @param key when it came before with the same request, what it made then is answered
     */
    public Answer<LoopSnapshot> create(LoopSpec spec, LeaseChoice choice, Caller caller, @Nullable RequestKey key) {
        if (!caller.mayMake()) {
            judge(spec, choice);
            if (choice instanceof LeaseChoice.Existing existing) {
                leases.find(existing.leaseId(), caller);
            }
            caller.requireMake();
        }
        return once(caller, key, id -> inventory.observe(inventory.find(id, caller)), LoopSnapshot::requiredId, () -> {
            judge(spec, choice);
            return make(spec, choice, caller, key);
        });
    }

    /** What is wrong with the request comes before what is missing, or wrong with whoever sends it. */
    private void judge(LoopSpec spec, LeaseChoice choice) {
        limits.checkImageBytes(spec.sizeBytes());
        if (choice instanceof LeaseChoice.Own own) {
            limits.ttl(own.terms());
        }
    }

    private LoopSnapshot make(LoopSpec spec, LeaseChoice choice, Caller caller, @Nullable RequestKey key) {
        return switch (choice) {
            case LeaseChoice.Own own -> createOnItsOwn(spec, own.terms(), caller, key);
            case LeaseChoice.Existing existing -> {
                Lease lease = leases.find(existing.leaseId(), caller);
                leases.checkOwn(lease, caller);
                yield make(spec, lease, caller, key);
            }
        };
    }

    private LoopSnapshot createOnItsOwn(LoopSpec spec, LeaseTerms terms, Caller caller, @Nullable RequestKey key) {
        Lease lease = leases.grant(terms, caller, true, null);
        try {
            return make(spec, lease, caller, key);
        } catch (RuntimeException e) {
            leases.revoke(lease);
            throw e;
        }
    }

    /** Makes a lease and its devices, all or none. */
    public Answer<Group> createLease(LeaseTerms terms, List<LoopSpec> specs, Caller caller, @Nullable RequestKey key) {
        if (!caller.mayMake()) {
            judge(terms, specs);
            caller.requireMake();
        }
        return once(caller, key, id -> group(id, caller), group -> group.lease().id(), () -> {
            judge(terms, specs);
            return makeGroup(terms, specs, caller, key);
        });
    }

    /** Refuses more devices than can ever be lent; a request for them need not be looked at any further. */
    public void refuseTooMany(int devices, Caller caller) {
        if (devices > limits.maxDevices()) {
            caller.requireMake();
            registry.checkDevices(devices);
        }
    }

    private void judge(LeaseTerms terms, List<LoopSpec> specs) {
        limits.ttl(terms);
        Map<Integer, Integer> named = new HashMap<>();
        for (int i = 0; i < specs.size(); i++) {
            try {
                limits.checkImageBytes(specs.get(i).sizeBytes());
            } catch (LoopException.Invalid e) {
                throw e.within(nth(i));
            }
            OptionalInt number = specs.get(i).number();
            Integer first = number.isPresent() ? named.putIfAbsent(number.getAsInt(), i) : null;
            if (first != null) {
                throw new LoopException.Invalid("name", "is wanted by " + nth(first) + " too").within(nth(i));
            }
        }
    }

    private Group makeGroup(LeaseTerms terms, List<LoopSpec> specs, Caller caller, @Nullable RequestKey key) {
        Lease lease = leases.grant(terms, caller, false, key);
        try {
            makeAll(specs, lease, caller);
            leases.start(lease);
            Step.GROUP_STARTED.reached();
            return group(lease.id(), caller);
        } catch (RuntimeException e) {
            // After its start too: of what cannot be answered nobody has been told.
            leases.revoke(lease);
            throw e;
        }
    }

    /** Takes the room of all at once: what cannot fit is refused before the first is made. */
    private void makeAll(List<LoopSpec> specs, Lease lease, Caller caller) {
        Deque<ManagedLoop> left = new ArrayDeque<>();
        for (LoopSpec spec : specs) {
            left.add(wanted(spec, lease, null));
        }
        registry.reserve(List.copyOf(left), caller.quotaOn(lease.terms().owner()));
        try {
            lease.announce();
            Step.GROUP_RECORDED.reached();
            for (int i = 0; !left.isEmpty(); i++) {
                makeNth(left.remove(), lease, i);
                Step.GROUP_DEVICE_MADE.reached();
            }
        } finally {
            left.forEach(registry::unreserve);
        }
    }

    private static String nth(int index) {
        return "devices[" + index + "]";
    }

    private void makeNth(ManagedLoop loop, Lease lease, int index) {
        loop.work().lock();
        try {
            make(loop, lease);
        } catch (LoopException.Invalid e) {
            throw e.within(nth(index));
        } catch (LoopException.InsufficientStorage e) {
            throw e.within(nth(index));
        } finally {
            loop.work().unlock();
        }
    }

    private Group group(String leaseId, Caller caller) {
        LeaseSnapshot lease = leases.find(leaseId, caller).snapshot(ticker.nanos());
        List<LoopSnapshot> devices = lease.deviceIds().stream()
                .flatMap(id -> registry.loop(id).stream())
                .map(inventory::observe)
                .toList();
        return new Group(lease, devices);
    }

    /** Does something once for each key; a repetition finds what the first one made. */
    private <T> Answer<T> once(
            Caller caller,
            @Nullable RequestKey key,
            Function<String, T> find,
            Function<T, String> idOf,
            Supplier<T> make) {
        String owner = caller.name();
        if (key != null) {
            registry.forgetOldEndings();
            Optional<String> made = keys.begin(owner, key);
            if (made.isPresent()) {
                return new Answer<>(find.apply(made.get()), true);
            }
        }
        try {
            refuseOnceClosed();
            T value = make.get();
            keys.made(owner, key, idOf.apply(value));
            return new Answer<>(value, false);
        } catch (RuntimeException e) {
            keys.failed(owner, key);
            throw e;
        }
    }

    private LoopSnapshot make(LoopSpec spec, Lease lease, Caller caller, @Nullable RequestKey key) {
        ManagedLoop loop = wanted(spec, lease, key);
        loop.work().lock();
        try {
            registry.reserve(List.of(loop), caller.quotaOn(loop.owner()));
            return make(loop, lease);
        } finally {
            loop.work().unlock();
        }
    }

    private ManagedLoop wanted(LoopSpec spec, Lease lease, @Nullable RequestKey key) {
        return ManagedLoop.wanted(spec, lease, clock.instant().truncatedTo(ChronoUnit.MILLIS), key);
    }

    private LoopSnapshot make(ManagedLoop loop, Lease lease) {
        try {
            Step.CREATE_RESERVED.reached();
            if (!lease.join(loop.id())) {
                throw leases.ended(lease);
            }
            registry.announce(loop);
            Step.CREATE_RECORDED.reached();
            LoopDevice device = attachNew(loop);
            if (lease.terms().ofDevice()) {
                leases.start(lease);
                Step.CREATE_LEASE_STARTED.reached();
            }
            Standing made =
                    registry.changeForGood(loop, standing -> standing.become(LoopState.CREATING, LoopState.READY));
            Step.CREATE_READY.reached();
            if (made.state() != LoopState.READY) {
                throw leases.ended(lease);
            }
            events.happened(Releaser.event(LoopEvent.Type.DEVICE_READY, loop, device.backingFile()));
            return inventory.snapshot(loop, Optional.of(device));
        } catch (IOException | RuntimeException e) {
            registry.insist(loop, standing -> standing.releasing(EndReason.DELETED, OnExpiry.UNMOUNT));
            releaser.release(loop);
            RuntimeException failure = e instanceof IOException io ? Failures.of(io) : (RuntimeException) e;
            events.happened(Releaser.event(LoopEvent.Type.DEVICE_REFUSED, loop, failure.getMessage()));
            throw failure;
        }
    }

    private LoopDevice attachNew(ManagedLoop loop) throws IOException {
        LoopSpec spec = loop.spec();
        if (spec.reuseFile()) {
            try (OpenImage image = images.openExisting(spec.requiredImagePath(), spec.readOnly())) {
                Step.CREATE_IMAGE_FOUND.reached();
                if (images.isOwnNamed(image.file().path())) {
                    throw new LoopException.Invalid(
                            "imagePath", "is a name that the agent gives its own images; rename the file, or move it");
                }
                if (image.file().sizeBytes() == 0) {
                    throw new LoopException.Invalid("imagePath", "leads to an empty file: there is nothing to map");
                }
                registry.map(loop, image.file());
                return attach(loop, image, true);
            }
        }
        if (spec.inDirectory()) {
            images.requireDirectory(spec.requiredImagePath());
        }
        long bytes = spec.sizeBytes().orElseThrow();
        try (OpenImage image =
                images.create(loop.id(), spec.imagePath(), bytes, spec.allocation(), file -> claim(loop, file))) {
            Step.CREATE_IMAGE_MADE.reached();
            return attach(loop, image, false);
        }
    }

    /** From here on a failure deletes it, and nobody else can map it. A name that tells whose it is needs no record. */
    private void claim(ManagedLoop loop, ImageFile image) {
        if (ImageStore.idOf(image.path().toString()).equals(loop.id())) {
            registry.note(loop, now -> now.with(image));
        } else {
            registry.changeForGood(loop, now -> now.with(image));
        }
        registry.map(loop, image);
    }

    /** @param shared whether somebody else may have attached the file */
    private LoopDevice attach(ManagedLoop loop, OpenImage image, boolean shared) throws IOException {
        LoopSpec spec = loop.spec();
        Standing standing = registry.note(loop, now -> now.with(image.file()));
        Step.CREATE_IMAGE_KNOWN.reached();
        long section = Section.check(
                image.file().sizeBytes(), spec.offsetBytes(), spec.sizeLimitBytes(), standing.sectorSize());
        if (shared) {
            refuseForeignOverlap(spec, image.file());
        }
        Step.CREATE_MAPPED.reached();
        LoopDevice device = attach(
                loop,
                new Attachment(
                        image.fd(),
                        image.file().path(),
                        spec.offsetBytes(),
                        spec.sizeLimitBytes(),
                        standing.sectorSize(),
                        spec.readOnly(),
                        spec.partScan(),
                        standing.directIo(),
                        spec.number(),
                        records.tag(loop.id())));
        Step.CREATE_ATTACHED.reached();
        if (device.sizeBytes() != section
                || device.sectorSize() != standing.sectorSize()
                || device.readOnly() != spec.readOnly()) {
            throw new LoopException.KernelFailure(
                    "The kernel made a device of " + device.sizeBytes() + " bytes in sectors of " + device.sectorSize()
                            + ", which is not what was asked for; it was undone.",
                    "EINVAL",
                    null);
        }
        Step.CREATE_CHECKED.reached();
        return spec.partScan() ? device : teardown.dropStrayPartitions(device);
    }

    /** What the driver says it bound is seen to be bound; whatever it did bind, if it failed, is found again. */
    private LoopDevice attach(ManagedLoop loop, Attachment wanted) throws IOException {
        loop.attachIsUncertain();
        try {
            LoopDevice device = losetup.attach(wanted);
            registry.note(loop, now -> now.withAttachment(device.identity()));
            if (teardown.isGone(device.identity())) {
                throw new LoopException.KernelFailure(
                        "The loop driver attached the image, and it is not attached.", "ENXIO", null);
            }
            loop.attachIsCertain();
            return device;
        } catch (LosetupException.NameTaken e) {
            loop.attachIsCertain();
            throw e;
        }
    }

    /** Another program may have attached the same file: two writers of one part would destroy each other's data. */
    private void refuseForeignOverlap(LoopSpec spec, ImageFile image) throws LosetupException {
        Section mine = Section.of(spec.offsetBytes(), spec.sizeLimitBytes());
        for (LoopDevice other : losetup.list()) {
            boolean sameFile = other.backingInode() == image.inode()
                    && other.backingDevice().equals(image.device());
            if (sameFile
                    && !other.readOnly()
                    && !spec.readOnly()
                    && mine.overlaps(Section.of(other.offsetBytes(), other.sizeLimitBytes()))) {
                // Without its name, which not everybody may know.
                throw new LoopException.ImageOverlap(
                        "Another loop device of this host maps this part of the file, and both may write."
                                + " Map parts that do not overlap, or map it read-only.");
            }
        }
    }

    // Looking

    /** Any loop device of the host, or a detached one of ours, as the caller may see it. */
    public LoopSnapshot get(DeviceRef ref, Caller caller) {
        return caller.view(look(ref, caller)).orElseThrow();
    }

    /** All of a device of which the caller may see something. */
    private LoopSnapshot look(DeviceRef ref, Caller caller) {
        return switch (ref) {
            case DeviceRef.Id id -> {
                LoopSnapshot snapshot = inventory.observe(inventory.find(id.id(), caller));
                inventory.find(id.id(), caller);
                yield snapshot;
            }
            case DeviceRef.Name name ->
                Optional.of(inventory.observe(inventory.attached(name)))
                        .filter(device -> caller.sees(device.owner()))
                        .orElseThrow(() -> Inventory.notAttached(name));
        };
    }

    /**
     * A part of the list: every attached loop device of the host by number, then our detached ones by id; as the caller may
     * see them.
     *
     * @param most how many at once
     */
    public Slice list(DeviceFilter filter, Slice.Place after, int most, Caller caller) {
        return inventory.list(filter, after, most, caller);
    }

    /** Who uses an attached device, ours or foreign, looked up now; where, only if the caller may see all of it. */
    public List<DeviceUser> users(DeviceRef ref, Caller caller) {
        LoopSnapshot device = look(ref, caller);
        if (device.observed().isEmpty()) {
            return List.of();
        }
        try {
            List<DeviceUser> users = teardown.users(device.observed().get());
            return caller.seesAllOf(device.owner())
                    ? users
                    : users.stream().map(LoopService::withoutPlace).toList();
        } catch (IOException e) {
            throw Failures.of(e);
        }
    }

    private static DeviceUser withoutPlace(DeviceUser user) {
        return new DeviceUser(user.kind(), null, user.pid(), null);
    }

    // Changing

    /** Changes a device, all or nothing. */
    public LoopSnapshot patch(DeviceRef ref, Precondition precondition, LoopPatch patch, Caller caller) {
        limits.checkImageBytes(patch.sizeBytes());
        Optional<Lease> target = patch.leaseId().map(id -> leases.find(id, caller));
        Consumer<ManagedLoop> rights = loop -> target.ifPresent(lease -> leases.checkSameOwner(lease, loop));
        return working(ref, rights, precondition, caller, loop -> {
            editor.edit(loop, patch, caller.quotaOn(loop.owner()), () -> target.ifPresent(lease -> move(loop, lease)));
            events.happened(Releaser.event(LoopEvent.Type.DEVICE_CHANGED, loop, null));
            return inventory.observe(loop);
        });
    }

    /**
     * Moves a device between leases, either of which may end meanwhile. The device's monitor decides: whichever lease it
     * is on there takes it along, and the answer tells the truth.
     */
    private void move(ManagedLoop loop, Lease target) {
        Lease before = loop.standing().lease();
        if (before == target) {
            return;
        }
        if (!target.join(loop.id())) {
            throw leases.ended(target);
        }
        Step.MOVE_JOINED.reached();
        try {
            registry.change(loop, now -> {
                if (now.endReason() != null) {
                    throw leases.ended(before);
                }
                if (target.claimed() != null) {
                    throw leases.ended(target);
                }
                return now.with(target);
            });
        } catch (LoopException e) {
            registry.leave(target, loop.id(), EndReason.DELETED);
            throw e;
        }
        Step.MOVE_RECORDED.reached();
        registry.leave(before, loop.id(), EndReason.DELETED);
        Step.MOVE_LEFT.reached();
    }

    /** Detaches a device and keeps its image; refuses where the device is all that is left of it. */
    public LoopSnapshot detach(DeviceRef ref, Precondition precondition, Caller caller) {
        return working(ref, precondition, caller, loop -> {
            LoopIdentity attachment = loop.standing().attachment();
            if (attachment != null) {
                if (images.presence(loop.image()) != Presence.PRESENT) {
                    throw new LoopException.WrongState(Failures.NAMELESS);
                }
                teardown.detachUnused(attachment, loop.ownsImage());
                Step.DETACH_GONE.reached();
                registry.insist(loop, now -> now.withAttachment(null).become(LoopState.READY, LoopState.DETACHED));
                Step.DETACH_RECORDED.reached();
                events.happened(Releaser.event(LoopEvent.Type.DEVICE_DETACHED, loop, null));
            }
            return inventory.observe(loop);
        });
    }

    /** Attaches a detached device's image again, as it was; to the number that it was made with, if one was named. */
    public LoopSnapshot attach(DeviceRef ref, Precondition precondition, Caller caller) {
        refuseOnceClosed();
        return working(ref, precondition, caller, loop -> {
            if (loop.standing().state() == LoopState.DETACHED) {
                try {
                    undoAttach(loop);
                    reattach(loop);
                } catch (ImageException.NotFound | ImageException.Replaced e) {
                    if (inventory.isUnmounted(loop.image())) {
                        throw new LoopException.WrongState(
                                "The filesystem of the image is not mounted. Mount it, and try again.");
                    }
                    inventory.lose(loop);
                    throw new LoopException.Ended("device", loop.id(), EndReason.LOST);
                } catch (IOException | RuntimeException e) {
                    // Whoever is told that it failed does not expect the next start to try again.
                    registry.intend(loop, loop.standing());
                    throw e;
                }
            }
            return inventory.observe(loop);
        });
    }

    /**
     * For a caller that holds the device's {@link ManagedLoop#work()}. Where it fails the device is detached as before, and
     * on record as one that is to be attached.
     */
    private void reattach(ManagedLoop loop) throws IOException {
        try (OpenImage image = images.reopen(loop.image(), loop.spec().readOnly())) {
            Step.ATTACH_OPENED.reached();
            requireSection(loop, image.file());
            registry.intend(loop, loop.standing().become(LoopState.DETACHED, LoopState.READY));
            attach(loop, image, true);
            Step.ATTACH_BOUND.reached();
            registry.change(loop, now -> now.become(LoopState.DETACHED, LoopState.READY));
            Step.ATTACH_READY.reached();
            events.happened(Releaser.event(LoopEvent.Type.DEVICE_ATTACHED, loop, null));
        } catch (IOException | RuntimeException e) {
            try {
                undoAttach(loop);
            } catch (IOException | RuntimeException undo) {
                e.addSuppressed(undo);
            }
            throw e;
        }
    }

    /** Whoever asked for that section was right then; it is the file that somebody has cut off since. */
    private static void requireSection(ManagedLoop loop, ImageFile image) {
        LoopSpec spec = loop.spec();
        try {
            Section.check(
                    image.sizeBytes(),
                    spec.offsetBytes(),
                    spec.sizeLimitBytes(),
                    loop.standing().sectorSize());
        } catch (LoopException.Invalid e) {
            throw new LoopException.WrongState("The image has " + image.sizeBytes()
                    + " bytes now, and the device no longer fits it: somebody changed the file. Give it its length back,"
                    + " or DELETE the device. (" + e.getMessage() + ")");
        }
    }

    /** Detaches whatever an attach that failed has left; where this fails too it is for the next one, or the release. */
    private void undoAttach(ManagedLoop loop) throws IOException {
        LoopIdentity halfMade = loop.standing().attachment();
        if (halfMade != null) {
            teardown.detachUnused(halfMade, loop.ownsImage());
            registry.note(loop, now -> now.withAttachment(null));
        }
        if (!loop.isAttachCertain()) {
            Optional<LoopIdentity> stray = teardown.findStray(loop);
            if (stray.isPresent()) {
                teardown.detachUnused(stray.get(), loop.ownsImage());
            }
            loop.attachIsCertain();
        }
    }

    // Giving back

    /** How a DELETE went. */
    public sealed interface Release {
        /** Device and image are gone. */
        record Done() implements Release {}

        /** Somebody still holds it open; it finishes by itself. */
        record Pending(LoopSnapshot device) implements Release {}
    }

    /**
     * Gives a device back.
     *
     * @param force removes its users first: mounts, swap, holders, partitions
     * @throws LoopException.DeviceBusy without {@code force}, when somebody uses it; nothing has changed then
     */
    public Release delete(DeviceRef ref, Precondition precondition, boolean force, Caller caller) {
        ManagedLoop loop = named(ref, mayBeChanged -> {}, precondition, caller);
        lockWork(loop);
        try {
            if (registry.loop(loop.id()).isEmpty()) {
                return new Release.Done();
            }
            precondition.check(loop.etag());
            if (force) {
                releaser.mark(loop, EndReason.DELETED, OnExpiry.UNMOUNT);
            } else if (loop.standing().endReason() == null) {
                detachForGood(loop);
            }
            return releaser.release(loop)
                    ? new Release.Done()
                    : new Release.Pending(inventory.snapshot(loop, inventory.attachment(loop)));
        } catch (IOException e) {
            throw Failures.of(e);
        } finally {
            loop.work().unlock();
        }
    }

    /** Records that the device ends, and detaches it; takes the record back when it is in use. */
    private void detachForGood(ManagedLoop loop) throws IOException {
        Standing before = loop.standing();
        Standing ending = before.releasing(EndReason.DELETED, OnExpiry.DETACH);
        registry.intend(loop, ending);
        Step.DELETE_RECORDED.reached();
        try {
            if (before.attachment() != null) {
                teardown.detachUnused(before.attachment(), loop.ownsImage());
            }
        } catch (IOException | RuntimeException e) {
            registry.intend(loop, loop.standing());
            throw e;
        }
        Step.DELETE_GONE.reached();
        registry.note(loop, now -> now.withAttachment(null).releasing(EndReason.DELETED, OnExpiry.DETACH));
    }

    // Leases

    /** A lease, as the caller may see it. */
    public LeaseSnapshot lease(String id, Caller caller) {
        return caller.view(leases.find(id, caller).snapshot(ticker.nanos())).orElseThrow();
    }

    /** How many leases live or are being released. */
    public long leaseCount() {
        return registry.leases().stream().filter(Lease::isStarted).count();
    }

    /** Every lease that lives or is being released, the oldest first, as the caller may see them. */
    public List<LeaseSnapshot> leases(Caller caller) {
        long now = ticker.nanos();
        return registry.leases().stream()
                .filter(Lease::isStarted)
                .flatMap(lease -> caller.view(lease.snapshot(now)).stream())
                .sorted(Comparator.comparing(LeaseSnapshot::createTime).thenComparing(LeaseSnapshot::id))
                .toList();
    }

    /** Prolongs a lease from now. */
    public LeaseSnapshot renew(String id, Precondition precondition, OptionalLong ttlSeconds, Caller caller) {
        limits.ttl(ttlSeconds, "ttlSeconds");
        Lease lease = leases.find(id, caller);
        if (lease.claimed() != null) {
            // Whatever else is wrong with the request: it never comes back.
            throw leases.ended(lease);
        }
        checkChange(lease, precondition, caller);
        return leases.renew(lease, ttlSeconds);
    }

    /**
     * Ends a lease and releases its devices. Of one that ends already it only tells how far it is, whatever the
     * precondition says.
     *
     * @return whether all are gone; false: some are still being released
     */
    public boolean endLease(String id, Precondition precondition, Caller caller) {
        Lease lease = leases.find(id, caller);
        checkChange(lease, lease.claimed() == null ? precondition : new Precondition.None(), caller);
        return leases.end(lease, EndReason.DELETED);
    }

    private void checkChange(Lease lease, Precondition precondition, Caller caller) {
        caller.requireChange("lease", lease.id(), lease.terms().owner());
        precondition.check(lease.snapshot(ticker.nanos()).etag());
    }

    // Stopping

    /** Nothing new is to be let in from now on; what is under way may finish. */
    public synchronized void stop() {
        phase = Phase.STOPPING;
    }

    /** Who was told to stop while it recovered stays told. */
    private synchronized void become(Phase expected, Phase next) {
        if (phase == expected) {
            phase = next;
        }
    }

    private void refuseOnceClosed() {
        if (closed) {
            throw new LoopException.ShuttingDown();
        }
    }

    /**
     * Stops. What is kept goes on living by its leases, and the next agent takes it over.
     *
     * @param releaseAll whether everything is given back first
     */
    public void close(boolean releaseAll) {
        stop();
        closed = true;
        List<CompletableFuture<Boolean>> releases = releaseAll ? leases.endAll(EndReason.SHUTDOWN) : List.of();
        reaper.close();
        releaser.close();
        long gone = releases.stream().filter(release -> release.getNow(false)).count();
        log.info(
                "Stopped: {} devices released, {} kept.", gone, registry.usage().devices());
    }

    // Finding

    private interface Work<T> {
        T on(ManagedLoop loop) throws IOException;
    }

    /** Works on a device that is READY or DETACHED, while nobody else changes it. */
    private <T> T working(DeviceRef ref, Precondition precondition, Caller caller, Work<T> work) {
        return working(ref, loop -> {}, precondition, caller, work);
    }

    /** @param rights what else its caller must be allowed: whoever is not learns nothing of the device's revision */
    private <T> T working(
            DeviceRef ref, Consumer<ManagedLoop> rights, Precondition precondition, Caller caller, Work<T> work) {
        ManagedLoop loop = named(ref, rights, precondition, caller);
        lockWork(loop);
        try {
            inventory.mend(loop);
            inventory.find(loop.id(), caller);
            precondition.check(loop.etag());
            LoopState state = loop.standing().state();
            if (state != LoopState.READY && state != LoopState.DETACHED) {
                throw new LoopException.WrongState("The device is " + state + ": it cannot be changed any more.");
            }
            return work.on(loop);
        } catch (IOException e) {
            throw Failures.of(e);
        } finally {
            loop.work().unlock();
        }
    }

    private static void lockWork(ManagedLoop loop) {
        try {
            if (loop.work().tryLock(WAIT_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        throw new LoopException.WrongState("Another call has been changing this device for a long time. Try again.");
    }

    /** Finds what a changing call names and its caller may change; by name only with a precondition. */
    private ManagedLoop named(DeviceRef ref, Consumer<ManagedLoop> rights, Precondition precondition, Caller caller) {
        ManagedLoop loop = switch (ref) {
            case DeviceRef.Id id -> inventory.find(id.id(), caller);
            case DeviceRef.Name name -> named(name, caller);
        };
        caller.requireChange("device", ref.toString(), loop.owner());
        rights.accept(loop);
        if (ref instanceof DeviceRef.Name && precondition instanceof Precondition.None) {
            throw new LoopException.PreconditionRequired(ref.toString());
        }
        return loop;
    }

    private ManagedLoop named(DeviceRef.Name name, Caller caller) {
        Optional<ManagedLoop> ours = inventory.owner(inventory.attached(name));
        if (!caller.sees(ours.map(ManagedLoop::owner).orElse(null))) {
            throw Inventory.notAttached(name);
        }
        return ours.orElseThrow(() -> new LoopException.NotManaged(name.toString()));
    }
}
