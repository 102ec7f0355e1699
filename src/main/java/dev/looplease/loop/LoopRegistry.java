package dev.looplease.loop;

import dev.looplease.image.ImageFile;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.posix.DeviceNumber;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The truth, in memory, about the devices and leases that are ours: what is promised, which number and which part of
 * which file it occupies, and what ended lately. Nothing slow happens inside its locks.
 */
public final class LoopRegistry {

    private static final Logger log = LoggerFactory.getLogger(LoopRegistry.class);

    private final Limits limits;
    private final Ticker ticker;
    private final Agenda agenda;
    private final Records records;
    private final Map<String, ManagedLoop> loops = new ConcurrentHashMap<>();
    private final Map<String, Lease> leases = new ConcurrentHashMap<>();
    private final Map<Integer, ManagedLoop> byNumber = new ConcurrentHashMap<>();
    private final Map<FileId, Map<String, Mapping>> mappings = new HashMap<>();
    private final Endings deviceEndings;
    private final Endings leaseEndings;
    private final Holdings holdings = new Holdings();
    private int reservedDevices;
    private long reservedBytes;
    /** Those that are not a device's own: nothing else bounds them. */
    private int sharedLeases;

    /** The birth tells a file from an earlier one whose inode number it was given; see {@link ImageFile}. */
    private record FileId(DeviceNumber device, long inode, long birthNanos) {
        static FileId of(ImageFile image) {
            return new FileId(image.device(), image.inode(), image.birthNanos());
        }
    }

    /** A part of a file that one of our devices maps, attached or not. */
    private record Mapping(Section section, boolean writable, boolean ownImage) {}

    /** What is lent now. */
    public record Usage(int devices, long promisedBytes) {}

    LoopRegistry(Limits limits, Ticker ticker, Agenda agenda, Records records, RequestKeys keys) {
        this.limits = limits;
        this.ticker = ticker;
        this.agenda = agenda;
        this.records = records;
        this.deviceEndings = new Endings(ticker, keys::forget);
        this.leaseEndings = new Endings(ticker, keys::forget);
    }

    /**
     * Takes room for devices, all or none, and gives them their entries.
     *
     * @param more of one owner
     * @throws LoopException.QuotaExceeded when that owner may not have so much
     * @throws LoopException.CapacityExhausted when the agent may not lend so much
     */
    synchronized void reserve(List<ManagedLoop> more, Quota quota) {
        if (more.isEmpty()) {
            return;
        }
        String owner = more.getFirst().owner();
        if (!holdings.hasRoomForDevices(owner, more.size(), quota)) {
            throw overQuota(owner, "devices", quota.devices().orElseThrow());
        }
        long bytes = more.stream()
                .mapToLong(loop -> loop.standing().promisedBytes())
                .reduce(0, (sum, each) -> each > Long.MAX_VALUE - sum ? Long.MAX_VALUE : sum + each);
        checkBytes(owner, bytes, quota);
        checkDevices(more.size());
        checkTotal(bytes);
        more.forEach(this::takeRoom);
    }

    /** Refuses more devices than there is room for now. */
    synchronized void checkDevices(int more) {
        int free = limits.maxDevices() - reservedDevices;
        if (free <= 0) {
            throw new LoopException.CapacityExhausted(
                    "All " + limits.maxDevices() + " devices that this agent may lend are lent.", untilRoom());
        }
        if (more > free) {
            throw new LoopException.CapacityExhausted(
                    reservedDevices + " of the " + limits.maxDevices()
                            + " devices that this agent may lend are lent: there is no room for " + more + " more.",
                    untilRoom());
        }
    }

    /** Gives the room of a device back of which nothing was made or recorded. */
    synchronized void unreserve(ManagedLoop loop) {
        if (loops.remove(loop.id()) != null) {
            giveRoomBack(loop);
        }
    }

    private void takeRoom(ManagedLoop loop) {
        reservedDevices++;
        reservedBytes += loop.standing().promisedBytes();
        holdings.add(loop.owner(), 1, loop.standing().promisedBytes(), 0);
        loops.put(loop.id(), loop);
    }

    private void giveRoomBack(ManagedLoop loop) {
        reservedDevices--;
        reservedBytes -= loop.standing().promisedBytes();
        holdings.add(loop.owner(), -1, -loop.standing().promisedBytes(), 0);
    }

    /** Takes room for a larger image, or gives it back for a smaller one; for who holds {@link ManagedLoop#work()}. */
    void promise(ManagedLoop loop, long bytes, Quota quota) {
        long more = bytes - loop.standing().promisedBytes();
        if (more > 0) {
            takeBytes(loop.owner(), more, quota);
        }
        try {
            change(loop, standing -> standing.withPromisedBytes(bytes));
        } catch (RuntimeException e) {
            // What the journal cannot take is not promised.
            addBytes(loop.owner(), -Math.max(0, more));
            throw e;
        }
        addBytes(loop.owner(), Math.min(0, more));
    }

    private synchronized void takeBytes(String owner, long more, Quota quota) {
        checkBytes(owner, more, quota);
        checkTotal(more);
        addBytes(owner, more);
    }

    private synchronized void addBytes(String owner, long more) {
        reservedBytes += more;
        holdings.add(owner, 0, more, 0);
    }

    private void checkBytes(String owner, long more, Quota quota) {
        if (!holdings.hasRoomForBytes(owner, more, quota)) {
            throw overQuota(
                    owner,
                    "bytes of images, sparse ones counted in full",
                    quota.bytes().orElseThrow());
        }
    }

    private LoopException.QuotaExceeded overQuota(String owner, String what, long most) {
        return new LoopException.QuotaExceeded(
                owner + " may have " + most + " " + what + ". Give something back first.",
                untilEnd(lease -> lease.terms().owner().equals(owner)));
    }

    /** Takes such a promise back, whether or not the journal has room for that. */
    void promiseAgain(ManagedLoop loop, long bytes) {
        addBytes(loop.owner(), bytes - loop.standing().promisedBytes());
        insist(loop, standing -> standing.withPromisedBytes(bytes));
    }

    private void checkTotal(long more) {
        if (limits.maxTotalBytes().isPresent() && more > limits.maxTotalBytes().getAsLong() - reservedBytes) {
            throw new LoopException.CapacityExhausted(
                    "Images may take " + limits.maxTotalBytes().getAsLong() + " bytes together, sparse ones counted in"
                            + " full; " + reservedBytes + " are promised.",
                    untilRoom());
        }
    }

    /** When the next lease ends if nobody renews it: the earliest moment at which room is certain to appear. */
    private Duration untilRoom() {
        return untilEnd(lease -> true);
    }

    private Duration untilEnd(Predicate<Lease> which) {
        long now = ticker.nanos();
        long next = leases.values().stream()
                .filter(which)
                .mapToLong(Lease::deadline)
                .min()
                .orElse(Lease.NEVER);
        Duration wait = next == Lease.NEVER ? Duration.ofMinutes(1) : Duration.ofNanos(Math.max(0, next - now));
        return wait.compareTo(Duration.ofSeconds(1)) < 0 ? Duration.ofSeconds(1) : wait;
    }

    /**
     * Claims a section of a file for a device, attached or not, until {@link #forget}. The file that the agent has just
     * made for it cannot be anybody else's: what is still claimed of its inode was of a file that is deleted by now.
     *
     * @throws LoopException.ImageOverlap when the file is another device's image, or a writable section of it overlaps
     */
    void map(ManagedLoop loop, ImageFile image) {
        Mapping mine = mapping(loop);
        synchronized (mappings) {
            Map<String, Mapping> ofFile = mappings.computeIfAbsent(FileId.of(image), file -> new LinkedHashMap<>());
            for (Mapping other : mine.ownImage() ? List.<Mapping>of() : ofFile.values()) {
                if (other.ownImage()) {
                    throw new LoopException.ImageOverlap(
                            "The file is the image of another device; it would be deleted with that device.");
                }
                if (mine.writable() && other.writable() && mine.section().overlaps(other.section())) {
                    throw new LoopException.ImageOverlap(
                            "Another device maps this part of the file, and both may write."
                                    + " Map parts that do not overlap, or map it read-only.");
                }
            }
            ofFile.put(loop.id(), mine);
        }
    }

    private static Mapping mapping(ManagedLoop loop) {
        LoopSpec spec = loop.spec();
        return new Mapping(Section.of(spec.offsetBytes(), spec.sizeLimitBytes()), !spec.readOnly(), loop.ownsImage());
    }

    private void unmap(ManagedLoop loop) {
        ImageFile image = loop.standing().image();
        if (image != null) {
            synchronized (mappings) {
                mappings.computeIfPresent(FileId.of(image), (file, ofFile) -> {
                    ofFile.remove(loop.id());
                    return ofFile.isEmpty() ? null : ofFile;
                });
            }
        }
    }

    /** Takes over a device of an agent before this one; no limit can refuse what is there already. */
    synchronized void adopt(ManagedLoop loop) {
        Standing standing = loop.standing();
        ImageFile image = standing.image();
        if (image != null) {
            synchronized (mappings) {
                mappings.computeIfAbsent(FileId.of(image), file -> new LinkedHashMap<>())
                        .put(loop.id(), mapping(loop));
            }
        }
        if (standing.attachment() != null) {
            byNumber.put(standing.attachment().number(), loop);
        }
        takeRoom(loop);
    }

    /** Records a device before anything of it is made. */
    void announce(ManagedLoop loop) {
        records.announce(loop);
    }

    /** As {@link #change}, for a step that must be on the disk before the next. */
    Standing changeForGood(ManagedLoop loop, UnaryOperator<Standing> how) {
        Standing changed = change(loop, how);
        records.secure(loop);
        return changed;
    }

    /**
     * Changes how a device stands, in the journal first; several changes in one are one revision.
     *
     * @throws LoopException when the journal cannot take it; nothing has changed then
     */
    Standing change(ManagedLoop loop, UnaryOperator<Standing> how) {
        return change(loop, how, next -> save(loop, next));
    }

    /** Whoever marks a device that has just ended must not bring its record back. */
    private void save(ManagedLoop loop, Standing next) {
        records.save(loop, next);
        if (!loops.containsKey(loop.id())) {
            records.strikeDevice(loop.id());
        }
    }

    /**
     * Records how a device is about to stand, before anybody can see it stand so; or does not, on a full disk. That is where
     * giving something back helps most.
     */
    void intend(ManagedLoop loop, Standing next) {
        saveIfPossible(loop, next);
    }

    /** The same for a step on the way, after which recovery would do nothing else than before it. */
    Standing note(ManagedLoop loop, UnaryOperator<Standing> how) {
        return change(loop, how, next -> {});
    }

    /** The same for a change that must happen whether or not the journal has room for it: a release goes on anyway. */
    Standing insist(ManagedLoop loop, UnaryOperator<Standing> how) {
        return change(loop, how, next -> saveIfPossible(loop, next));
    }

    private void saveIfPossible(ManagedLoop loop, Standing next) {
        try {
            save(loop, next);
        } catch (LoopException e) {
            log.warn("A change of {} is not in the journal: {}", loop.id(), e.getMessage());
        }
    }

    private Standing change(ManagedLoop loop, UnaryOperator<Standing> how, Consumer<Standing> recorder) {
        LoopIdentity before = loop.standing().attachment();
        Standing after = loop.change(how, recorder);
        if (before != null && !before.equals(after.attachment())) {
            byNumber.remove(before.number(), loop);
        }
        if (after.attachment() != null) {
            byNumber.put(after.attachment().number(), loop);
        }
        return after;
    }

    /** Strikes a device out and gives its room back; a lease of its own ends with it. */
    void forget(ManagedLoop loop, EndReason reason) {
        unmap(loop);
        note(loop, standing -> standing.withAttachment(null));
        synchronized (this) {
            if (!loops.containsKey(loop.id())) {
                return;
            }
            if (loop.isKnown()) {
                // Before it is forgotten: nobody may be told meanwhile that it never was.
                deviceEndings.add(loop.id(), loop.owner(), reason);
            }
            loops.remove(loop.id());
            giveRoomBack(loop);
        }
        records.strikeDevice(loop.id());
        Step.RELEASE_STRUCK.reached();
        leave(loop.standing().lease(), loop.id(), reason);
    }

    /** Takes a device out of a lease; a lease of its own ends with it. */
    void leave(Lease lease, String deviceId, EndReason reason) {
        lease.leave(deviceId, reason);
        endIfEmpty(lease);
    }

    /** Strikes a lease out once it is claimed and has no devices any more. */
    void endIfEmpty(Lease lease) {
        EndReason reason = lease.claimed();
        if (reason != null && lease.devices().isEmpty() && remove(lease, reason)) {
            records.strikeLease(lease.id());
            Step.RELEASE_LEASE_STRUCK.reached();
            agenda.cancel(new Agenda.Subject(Agenda.Kind.LEASE, lease.id()));
        }
    }

    private synchronized boolean remove(Lease lease, EndReason reason) {
        if (!leases.containsKey(lease.id())) {
            return false;
        }
        if (lease.isStarted()) {
            // What nobody was told of is asked for by nobody, and pushes out no end that somebody may ask for.
            leaseEndings.add(lease.id(), lease.terms().owner(), reason);
        }
        leases.remove(lease.id());
        count(lease, -1);
        return true;
    }

    private void count(Lease lease, int more) {
        sharedLeases += lease.terms().ofDevice() ? 0 : more;
        holdings.add(lease.terms().owner(), 0, 0, more);
    }

    /** Why a device ended, while that is remembered. */
    Optional<Endings.Ending> deviceEnding(String id) {
        return deviceEndings.find(id);
    }

    /** The same of a lease. */
    Optional<Endings.Ending> leaseEnding(String id) {
        return leaseEndings.find(id);
    }

    /** Lets go of ends that are remembered no longer, and of the keys of what has ended so long ago. */
    void forgetOldEndings() {
        deviceEndings.forgetOld();
        leaseEndings.forgetOld();
    }

    /**
     * Takes in a new lease. One that is a device's own needs no room beside that device's.
     *
     * @throws LoopException.QuotaExceeded when its owner has as many as it may
     * @throws LoopException.CapacityExhausted when the agent has as many as it may
     */
    synchronized void add(Lease lease, Quota quota) {
        String owner = lease.terms().owner();
        if (!holdings.hasRoomForLease(owner, quota)) {
            throw overQuota(owner, "leases", quota.leases().orElseThrow());
        }
        if (!lease.terms().ofDevice() && sharedLeases >= limits.maxDevices()) {
            throw new LoopException.CapacityExhausted(
                    "This agent holds " + limits.maxDevices()
                            + " leases besides those that are a device's own, and no more (looplease.max-devices).",
                    untilEnd(other -> !other.terms().ofDevice()));
        }
        adopt(lease);
    }

    /** Takes over a lease of an agent before this one. */
    synchronized void adopt(Lease lease) {
        leases.put(lease.id(), lease);
        count(lease, 1);
    }

    Optional<ManagedLoop> loop(String id) {
        return Optional.ofNullable(loops.get(id));
    }

    /** Whose attachment the number was when we last looked; the kernel may say otherwise by now. */
    Optional<ManagedLoop> loop(int number) {
        return Optional.ofNullable(byNumber.get(number));
    }

    /** The numbers of our attachments, likewise. */
    Set<Integer> numbers() {
        return byNumber.keySet();
    }

    Collection<ManagedLoop> loops() {
        return new ArrayList<>(loops.values());
    }

    Optional<Lease> lease(String id) {
        return Optional.ofNullable(leases.get(id));
    }

    List<Lease> leases() {
        return new ArrayList<>(leases.values());
    }

    /** What is lent now, things on their way out included. */
    public synchronized Usage usage() {
        return new Usage(reservedDevices, reservedBytes);
    }
}
