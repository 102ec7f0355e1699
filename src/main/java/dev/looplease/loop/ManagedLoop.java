package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.image.ImageFile;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.LoopIdentity;
import java.time.Instant;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * One device of ours. Whoever changes it on the host holds {@link #work()} meanwhile, and only this device's: a slow
 * kernel call delays nobody else. Readers never wait: they take the {@link #versioned()} value.
 */
final class ManagedLoop {

    private final String id;
    private final String owner;
    private final Instant createTime;
    private final LoopSpec spec;
    private final @Nullable RequestKey key;
    private final ReentrantLock work = new ReentrantLock();
    private volatile Versioned versioned;
    private volatile @Nullable String lastName;
    private volatile boolean announced;
    private volatile boolean attachCertain = true;

    /** How it stands, and how often that changed. */
    record Versioned(long revision, Standing standing) {}

    private ManagedLoop(
            String id,
            String owner,
            Instant createTime,
            LoopSpec spec,
            @Nullable RequestKey key,
            long revision,
            Standing standing) {
        this.id = id;
        this.owner = owner;
        this.createTime = createTime;
        this.spec = spec;
        this.key = key;
        this.versioned = new Versioned(revision, standing);
        if (standing.attachment() != null) {
            lastName = "loop" + standing.attachment().number();
        }
    }

    /** A device that is to be made. */
    static ManagedLoop wanted(LoopSpec spec, Lease lease, Instant now, @Nullable RequestKey key) {
        return new ManagedLoop(
                Ids.next(),
                lease.terms().owner(),
                now,
                spec,
                key,
                1,
                new Standing(
                        LoopState.CREATING,
                        null,
                        null,
                        spec.sectorSize(),
                        spec.directIo(),
                        Map.copyOf(spec.labels()),
                        lease,
                        spec.sizeBytes().orElse(0),
                        null,
                        OnExpiry.UNMOUNT));
    }

    /** Something of ours that is on no record, and only waits for its end. */
    static ManagedLoop orphan(
            String id, Lease lease, Instant now, @Nullable ImageFile image, @Nullable LoopIdentity attachment) {
        LoopSpec spec = new LoopSpec(
                OptionalLong.of(LoopSpec.SECTOR_BYTES),
                OptionalInt.empty(),
                null,
                false,
                false,
                Allocation.SPARSE,
                0,
                0,
                LoopSpec.SECTOR_BYTES,
                false,
                false,
                DirectIo.OFF,
                Map.of());
        Standing standing = new Standing(
                LoopState.RELEASING,
                image,
                attachment,
                spec.sectorSize(),
                spec.directIo(),
                Map.of(),
                lease,
                0,
                EndReason.DELETED,
                OnExpiry.DETACH);
        return new ManagedLoop(id, lease.terms().owner(), now, spec, null, 1, standing);
    }

    /**
     * A device that an agent before this one made.
     *
     * @param revision one that it cannot have had before: an entity tag from then must not fit what it becomes now
     */
    static ManagedLoop recovered(DeviceRecord record, long revision, Standing standing) {
        ManagedLoop loop = new ManagedLoop(
                record.id(), record.owner(), record.created(), record.toSpec(), record.key(), revision, standing);
        loop.announced = record.announced();
        return loop;
    }

    String id() {
        return id;
    }

    String owner() {
        return owner;
    }

    Instant createTime() {
        return createTime;
    }

    /** The Idempotency-Key that it was made with. */
    @Nullable
    RequestKey key() {
        return key;
    }

    /** What was asked for; what can be changed later stands in {@link Standing}. */
    LoopSpec spec() {
        return spec;
    }

    /** Whether the agent made the image, and so deletes it. */
    boolean ownsImage() {
        return !spec.reuseFile();
    }

    /** Its image, once that is made. */
    ImageFile image() {
        ImageFile image = versioned.standing().image();
        if (image == null) {
            throw new IllegalStateException("device " + id + " has no image yet");
        }
        return image;
    }

    ReentrantLock work() {
        return work;
    }

    Standing standing() {
        return versioned.standing();
    }

    Versioned versioned() {
        return versioned;
    }

    /** The kernel's name that it has, or had last; null when it was never attached. */
    @Nullable
    String lastName() {
        return lastName;
    }

    /** Whether it was ever READY. */
    boolean wasAnnounced() {
        return announced;
    }

    /**
     * Whether it is to be seen: it was READY, and is not one of several that are still being made. What is stuck is to be seen
     * even if it was not: people must look after it.
     */
    boolean isKnown() {
        Standing now = standing();
        return (announced && now.lease().isStarted()) || now.state() == LoopState.STUCK;
    }

    /** The kernel is about to be asked to attach it; what comes of that is not known until {@link #attachIsCertain}. */
    void attachIsUncertain() {
        attachCertain = false;
    }

    /** What it is attached to, if anything, is what its {@link Standing} says. */
    void attachIsCertain() {
        attachCertain = true;
    }

    boolean isAttachCertain() {
        return attachCertain;
    }

    /** A strong entity tag (RFC 9110, 8.8.3); it names the id, because a loop number changes hands. */
    String etag() {
        return etag(versioned.revision());
    }

    String etag(long revision) {
        return "\"" + id + "." + revision + "\"";
    }

    /** Room is taken before an image grows, and given back when that fails: nobody sees either. */
    private boolean isVisible(Standing next) {
        Standing now = versioned.standing();
        return !next.equals(now.withPromisedBytes(next.promisedBytes()));
    }

    /**
     * Makes the next revision; several changes in one are one revision.
     *
     * @param before hears of it first, and can forbid it by throwing
     */
    synchronized Standing change(UnaryOperator<Standing> how, Consumer<Standing> before) {
        Standing next = how.apply(versioned.standing());
        if (next.equals(versioned.standing())) {
            return next;
        }
        before.accept(next);
        versioned = new Versioned(versioned.revision() + (isVisible(next) ? 1 : 0), next);
        if (next.attachment() != null) {
            lastName = "loop" + next.attachment().number();
        }
        if (next.state() == LoopState.READY) {
            announced = true;
        }
        return next;
    }
}
