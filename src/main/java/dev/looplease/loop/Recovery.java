package dev.looplease.loop;

import dev.looplease.image.ImageException;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.OpenImage;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What an agent does before it serves: it compares the records of the one before it with the images and the kernel, and
 * the kernel wins. What lives is adopted, what was half made or half released ends, what is provably ours but on no
 * record ends too, and everything else is left alone.
 */
public final class Recovery {

    private static final Logger log = LoggerFactory.getLogger(Recovery.class);

    /** How long the start waits for releases; what takes longer goes on afterwards. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final Records records;
    private final LoopRegistry registry;
    private final RequestKeys keys;
    private final LeaseBook leases;
    private final Releaser releaser;
    private final Losetup losetup;
    private final ImageStore images;
    private final Ticker ticker;
    private final Clock clock;
    private final Limits limits;
    private final Reattach reattach;
    private volatile @Nullable Report report;

    /** Attaches a detached device again. */
    @FunctionalInterface
    interface Reattach {
        void attach(ManagedLoop loop) throws IOException;
    }

    /**
     * What was found.
     *
     * @param adopted devices that go on as they were
     * @param reattached devices that the kernel had lost in a reboot
     * @param ended devices that were half made, half released or whose lease had ended
     * @param lost devices whose image and attachment are gone
     * @param orphans images and attachments of ours that were on no record, and ended
     * @param setAside records that made no sense
     * @param unproven images and attachments that look like ours and cannot be proven to be; left alone
     */
    public record Report(int adopted, int reattached, int ended, int lost, int orphans, int setAside, int unproven) {}

    Recovery(
            Records records,
            LoopRegistry registry,
            RequestKeys keys,
            LeaseBook leases,
            Releaser releaser,
            Losetup losetup,
            ImageStore images,
            Ticker ticker,
            Clock clock,
            Limits limits,
            Reattach reattach) {
        this.records = records;
        this.registry = registry;
        this.keys = keys;
        this.leases = leases;
        this.releaser = releaser;
        this.losetup = losetup;
        this.images = images;
        this.ticker = ticker;
        this.clock = clock;
        this.limits = limits;
        this.reattach = reattach;
    }

    /** What the last run found; empty before it has ended. */
    Optional<Report> report() {
        return Optional.ofNullable(report);
    }

    /**
     * Runs once, before anything is served.
     *
     * @throws LoopException when images or kernel cannot be read at all; nothing has changed then, and it may be tried again
     */
    Report run() {
        Report found = look().compare();
        report = found;
        log.info("Recovered: {}", found);
        return found;
    }

    private Run look() {
        try {
            return new Run();
        } catch (IOException e) {
            throw Failures.of(e);
        } catch (UncheckedIOException e) {
            throw Failures.of(Objects.requireNonNull(e.getCause()));
        }
    }

    /** One comparison. */
    private final class Run {

        private final List<LoopDevice> attached = losetup.list();
        /** What else is bound, and cannot be read because its disk fails: the names of the images. */
        private final List<String> unlisted = losetup.unlistedImages(attached);

        private final Records.Remains remains;
        private final Map<String, ImageFile> ownImages = new HashMap<>();
        /** What is named as our images are, and is not as we make them. */
        private final Map<String, Path> strangeImages = new HashMap<>();

        private final Map<String, Lease> byId = new HashMap<>();
        private final Set<Integer> known = new HashSet<>();
        /** Not recorded, and so not continued: somewhere far from where those of any other run began. */
        private final long firstRevision = ThreadLocalRandom.current().nextLong(1L << 32, 1L << 62);

        private final List<ManagedLoop> ending = new ArrayList<>();
        /** Reused files of devices for which no attachment was found. */
        private final List<ImageFile> unattached = new ArrayList<>();

        private int adopted;
        private int reattached;
        private int lost;
        private int orphans;
        private int unproven;

        Run() throws IOException {
            ImageStore.OwnNamed named = images.ownNamed();
            named.images()
                    .forEach(image -> ownImages.put(ImageStore.idOf(image.path().toString()), image));
            named.others().forEach(path -> strangeImages.put(ImageStore.idOf(path.toString()), path));
            // Last: it sets aside what makes no sense, which is counted once.
            remains = records.read();
        }

        Report compare() {
            remains.leases().values().forEach(this::restore);
            remains.devices().values().forEach(this::restoreOrLeave);
            endOrphans();
            unproven += countUnproven();
            Step.RECOVERY_COMPARED.reached();
            for (Lease lease : byId.values()) {
                leases.adopt(lease);
            }
            Step.RECOVERY_ADOPTED.reached();
            await(ending.stream().map(releaser::submit).toList());
            // All that took its time, and nobody could renew meanwhile: the grace begins when the agent serves.
            long served = ticker.nanos() + limits.grace().toNanos();
            byId.values().forEach(lease -> lease.spareUntil(served));
            return new Report(
                    adopted, reattached, ending.size() - orphans, lost, orphans, remains.setAside(), unproven);
        }

        private void restore(LeaseRecord record) {
            Lease lease = new Lease(
                    new Lease.Terms(
                            record.id(),
                            record.owner(),
                            record.labels(),
                            record.onExpiry(),
                            record.maxTtlSeconds() == null ? null : Duration.ofSeconds(record.maxTtlSeconds()),
                            Instant.ofEpochMilli(record.createTime()),
                            record.ofDevice(),
                            record.key()),
                    times(record),
                    firstRevision,
                    records);
            byId.put(lease.id(), lease);
            if (record.started() && !record.bootId().equals(records.bootId())) {
                // Its new deadline is one of this boot; the next start must not go by the old one.
                lease.record();
                Step.RECOVERY_LEASE_RECORDED.reached();
            }
            if (record.started()) {
                keys.made(record.owner(), record.key(), record.id());
            }
        }

        private Lease.Times times(LeaseRecord record) {
            @Nullable Duration ttl = record.ttlSeconds() == null ? null : Duration.ofSeconds(record.ttlSeconds());
            if (!record.started()) {
                return new Lease.Times(ttl, false, Lease.NEVER, Lease.NEVER, EndReason.DELETED);
            }
            if (record.bootId().equals(records.bootId())) {
                return new Lease.Times(ttl, true, record.deadline(), record.lastDeadline(), record.claimed());
            }
            long now = ticker.nanos();
            // The clock that the deadline was taken from began anew with the kernel: only the wall clock is left.
            long wall = clock.millis();
            boolean lives = record.claimed() == null && (ttl == null || record.expireTime() > wall);
            long last = record.maxTtlSeconds() == null
                    ? Lease.NEVER
                    : now + (record.createTime() + record.maxTtlSeconds() * 1000 - wall) * 1_000_000;
            return new Lease.Times(
                    ttl,
                    true,
                    ttl == null ? Lease.NEVER : Math.min(now + ttl.toNanos(), last),
                    last,
                    lives ? null : Optional.ofNullable(record.claimed()).orElse(EndReason.EXPIRED));
        }

        /** What cannot be judged now, because its disk fails, is left as it is, record and all. */
        private void restoreOrLeave(DeviceRecord record) {
            Optional<ImageFile> own = Optional.ofNullable(ownImages.remove(record.id()));
            // What somebody did to it since does not make it a stranger's: its record knows its inode.
            strangeImages.remove(record.id());
            try {
                restore(record, own);
            } catch (IOException | RuntimeException e) {
                log.error("{} could not be compared, and is left alone.", record.id(), e);
                // Its lease must not be taken for an empty one, and struck out.
                byId.computeIfAbsent(record.leaseId(), id -> replacement(record))
                        .rejoin(record.id());
                attached.stream()
                        .filter(device -> device.tag().equals(records.tag(record.id())))
                        .forEach(device -> known.add(device.number()));
                unproven++;
            }
        }

        private void restore(DeviceRecord record, Optional<ImageFile> own) throws IOException {
            Lease lease = byId.computeIfAbsent(record.leaseId(), id -> replacement(record));
            ManagedLoop loop = ManagedLoop.recovered(record, firstRevision, record.toStanding(lease));
            Optional<ImageFile> image = findImage(record, own);
            LoopIdentity unread = findUnread(record);
            Optional<LoopDevice> device = unread == null ? findAttachment(record, image) : Optional.empty();
            LoopIdentity attachment = device.map(LoopDevice::identity).orElse(unread);
            if (attachment != null) {
                known.add(attachment.number());
            } else {
                requireReadable(record, image);
                if (record.spec().reuseFile()) {
                    reusedFile(record, image).ifPresent(unattached::add);
                }
            }
            loop.change(
                    standing -> {
                        Standing seen = standing.withAttachment(attachment);
                        return image.isEmpty()
                                ? seen
                                : withImage(seen, image.get(), !record.spec().reuseFile());
                    },
                    next -> {});
            registry.adopt(loop);
            lease.rejoin(loop.id());
            Step.RECOVERY_DEVICE_KNOWN.reached();
            if (loop.wasAnnounced()) {
                keys.made(loop.owner(), loop.key(), loop.id());
            }
            boolean finished = record.state() == LoopState.READY || record.state() == LoopState.DETACHED;
            EndReason claimed = lease.claimed();
            if (!finished || claimed != null) {
                end(loop, record, claimed);
            } else if (device.isPresent()) {
                adopt(loop, device.get(), record);
            } else if (attachment != null) {
                log.warn("{} is loop{}, which cannot be read now; it stays as it was.", loop.id(), attachment.number());
                adopted++;
            } else if (image.isEmpty()) {
                registry.forget(loop, EndReason.LOST);
                lost++;
            } else {
                adoptDetached(loop, record);
            }
        }

        /** What was promised for an image, and never came to be or has been given back, is what it takes now. */
        private static Standing withImage(Standing standing, ImageFile image, boolean own) {
            Standing seen = standing.with(image);
            return own ? seen.withPromisedBytes(image.sizeBytes()) : seen;
        }

        /** For a record whose lease is not there: one that was never started, or one whose record was damaged. */
        private Lease replacement(DeviceRecord record) {
            boolean announced = record.announced();
            Duration ttl = limits.defaultTtl();
            return new Lease(
                    new Lease.Terms(
                            record.leaseId(),
                            record.owner(),
                            Map.of(),
                            record.policy(),
                            null,
                            record.created(),
                            true,
                            null),
                    announced
                            ? Lease.Times.notStarted(ttl).until(ttl, ticker.nanos())
                            : Lease.Times.notStarted(ttl).claimed(EndReason.DELETED),
                    records);
        }

        /**
         * The image as it is on the disk now; empty when it is gone or another file has its name. One that cannot be
         * looked at, for example because its root is none any more or its filesystem is not mounted yet, counts as the one on
         * record: it is not lost.
         */
        private Optional<ImageFile> findImage(DeviceRecord record, Optional<ImageFile> own) {
            try {
                if (record.image() != null) {
                    return found(record, record.image().toFile());
                }
                if (own.isPresent()) {
                    return own;
                }
                String where = record.spec().imagePath();
                return where == null || record.spec().reuseFile()
                        ? Optional.empty()
                        : opened(Path.of(where, ImageStore.ownName(record.id())), record);
            } catch (IOException e) {
                log.warn("The image of {} cannot be looked at: {}", record.id(), e.getMessage());
                return Optional.ofNullable(record.image()).map(DeviceRecord.Image::toFile);
            }
        }

        private Optional<ImageFile> found(DeviceRecord record, ImageFile image) throws IOException {
            Optional<ImageFile> found = isOfThisBoot(record)
                    ? reopened(image, record)
                    // A filesystem's device number may be another after a reboot; inode and birth stay.
                    : opened(image.path(), record)
                            .filter(now -> now.inode() == image.inode() && now.birthNanos() == image.birthNanos());
            if (found.isEmpty() && images.isUnmounted(image)) {
                throw new IOException("its filesystem is not mounted");
            }
            return found;
        }

        private Optional<ImageFile> reopened(ImageFile image, DeviceRecord record) throws IOException {
            try (OpenImage open = images.reopen(image, record.spec().readOnly())) {
                return Optional.of(open.file());
            } catch (ImageException.NotFound | ImageException.Replaced e) {
                return Optional.empty();
            }
        }

        private Optional<ImageFile> opened(Path path, DeviceRecord record) throws IOException {
            try (OpenImage image = images.openExisting(path, record.spec().readOnly())) {
                return Optional.of(image.file());
            } catch (ImageException.NotFound | ImageException.Symlink | ImageException.NotAFile e) {
                return Optional.empty();
            }
        }

        /**
         * The attachment that is provably this device's: the one on record, or one that bears its tag. Where neither can
         * be, because the agent died before it recorded the attachment and its backend sets no tag, the one of the
         * image that the agent itself made for it. Anybody may attach our image a second time; that is not ours.
         */
        private Optional<LoopDevice> findAttachment(DeviceRecord record, Optional<ImageFile> image) {
            LoopIdentity recorded = recordedAttachment(record);
            return only(device -> device.identity().equals(recorded))
                    .or(() -> only(device -> Records.isTagOf(record.id(), device.tag())))
                    .or(() -> only(device -> mayHaveBoundUnrecorded(record)
                            && (record.state() == LoopState.CREATING
                                    || device.tag().isEmpty())
                            && image.filter(file -> isOn(device, file)).isPresent()));
        }

        private @Nullable LoopIdentity recordedAttachment(DeviceRecord record) {
            return isOfThisBoot(record) && record.attachment() != null
                    ? record.attachment().toIdentity()
                    : null;
        }

        /** The attachment on record where the list lacks it and it is no less bound: its disk fails. */
        private @Nullable LoopIdentity findUnread(DeviceRecord record) throws IOException {
            LoopIdentity recorded = recordedAttachment(record);
            return recorded == null
                            || only(device -> device.identity().equals(recorded))
                                    .isPresent()
                            || Teardown.isGone(losetup, recorded)
                    ? null
                    : recorded;
        }

        /** Whether a device that does not seem to be attached is not, nobody can tell while what may be it cannot be read. */
        private void requireReadable(DeviceRecord record, Optional<ImageFile> image) throws IOException {
            if (record.state() != LoopState.DETACHED
                    && image.filter(this::isUnlisted).isPresent()) {
                throw new IOException("What is bound to its image cannot be read, and may be it.");
            }
        }

        private boolean isUnlisted(ImageFile image) {
            return unlisted.contains(image.path().toString());
        }

        /**
         * Whether the agent may have died between attaching the image that it made and recording that: it was making the
         * device, or had recorded that it attaches it again.
         */
        private boolean mayHaveBoundUnrecorded(DeviceRecord record) {
            return isOfThisBoot(record)
                    && record.attachment() == null
                    && !record.spec().reuseFile()
                    && (!record.announced() || record.state() == LoopState.READY);
        }

        /** The file of a device that is not attached, as far as anybody can tell; empty where it cannot be looked at. */
        private Optional<ImageFile> reusedFile(DeviceRecord record, Optional<ImageFile> image) {
            try {
                return image.isPresent()
                        ? image
                        : opened(Path.of(Objects.requireNonNull(record.spec().imagePath())), record);
            } catch (IOException e) {
                log.debug("{} cannot be looked at.", record.spec().imagePath(), e);
                return Optional.empty();
            }
        }

        private Optional<LoopDevice> only(Predicate<LoopDevice> wanted) {
            return attached.stream().filter(wanted).findFirst();
        }

        private boolean isOfThisBoot(DeviceRecord record) {
            return record.bootId().equals(records.bootId());
        }

        private void end(ManagedLoop loop, DeviceRecord record, @Nullable EndReason claimed) {
            EndReason reason = record.endReason() != null
                    ? record.endReason()
                    : Optional.ofNullable(claimed).orElse(EndReason.DELETED);
            OnExpiry policy = record.endReason() != null
                    ? record.policy()
                    : loop.standing().lease().terms().onExpiry();
            registry.insist(loop, standing -> standing.releasing(reason, policy));
            ending.add(loop);
        }

        private void adopt(ManagedLoop loop, LoopDevice device, DeviceRecord record) throws IOException {
            registry.note(loop, standing -> standing.with(LoopState.READY).withSectorSize(device.sectorSize()));
            if (!records.isOnRecord(loop, record)) {
                registry.intend(loop, loop.standing());
            }
            Optional<LoopHandle> opened = losetup.open(device.identity());
            if (opened.isPresent()) {
                try (LoopHandle handle = opened.get()) {
                    if (device.autoclear()) {
                        // Killed between asking whether it is in use and taking the question back.
                        handle.retain();
                    }
                    if (loop.ownsImage() && device.sizeBytes() != expectedBytes(loop)) {
                        handle.refreshSize();
                    }
                }
            }
            adopted++;
        }

        private long expectedBytes(ManagedLoop loop) {
            LoopSpec spec = loop.spec();
            long rest = loop.image().sizeBytes() - spec.offsetBytes();
            return spec.sizeLimitBytes() == 0 ? rest : Math.min(rest, spec.sizeLimitBytes());
        }

        /** READY, and no attachment of this boot on record: it was to be attached, and that failed or the agent died. */
        private void adoptDetached(ManagedLoop loop, DeviceRecord record) {
            if (record.state() == LoopState.DETACHED || recordedAttachment(record) != null) {
                registry.insist(loop, standing -> standing.with(LoopState.DETACHED));
                adopted++;
                return;
            }
            // Not recorded: should this fail, or the agent die before, the next start has to know that it is to be
            // attached.
            registry.note(loop, standing -> standing.with(LoopState.DETACHED));
            try {
                reattach.attach(loop);
                reattached++;
            } catch (IOException | RuntimeException e) {
                log.warn("{} could not be attached again; the next start tries again.", loop.id(), e);
                adopted++;
            }
        }

        /**
         * What is ours by all its marks and on no record ends: attachments with our tag, and images in our directory, unless
         * something else is bound to one. That may be somebody's who saves what is in it.
         */
        private void endOrphans() {
            ownImages.forEach((id, image) -> {
                List<LoopDevice> onIt = attached.stream()
                        .filter(bound -> !known.contains(bound.number()) && isOn(bound, image))
                        .toList();
                if (isUnlisted(image) || !onIt.stream().allMatch(bound -> records.isOurs(bound.tag()))) {
                    log.warn(
                            "{} is on no record, and nothing proves whose device is bound to it; it is left alone.",
                            image.path());
                    unproven++;
                } else {
                    endOrphan(id, image, onIt.stream().findFirst());
                }
            });
            for (LoopDevice device : attached) {
                if (!known.contains(device.number()) && records.isOurs(device.tag())) {
                    endOrphan(Ids.next(), null, Optional.of(device));
                }
            }
        }

        private void endOrphan(String id, @Nullable ImageFile image, Optional<LoopDevice> device) {
            log.warn(
                    "On no record, and ended: {} {}",
                    image == null ? "" : image.path(),
                    device.map(LoopDevice::name).orElse("(not attached)"));
            device.ifPresent(bound -> known.add(bound.number()));
            Lease none = new Lease(
                    new Lease.Terms(Ids.next(), "", Map.of(), OnExpiry.DETACH, null, clock.instant(), true, null),
                    Lease.Times.notStarted(limits.defaultTtl()).claimed(EndReason.DELETED),
                    records);
            ManagedLoop loop = ManagedLoop.orphan(
                    id,
                    none,
                    clock.instant(),
                    image,
                    device.map(LoopDevice::identity).orElse(null));
            registry.adopt(loop);
            none.rejoin(id);
            ending.add(loop);
            orphans++;
        }

        /**
         * Named as our images are, and not made as they are. Or bound to a file of our directory, and yet neither on record
         * nor with our tag. Or bound to a reused file: an agent that died after it attached one and before it recorded that
         * leaves, where its backend sets no tag, what anybody might have attached.
         */
        private int countUnproven() {
            strangeImages
                    .values()
                    .forEach(path -> log.warn(
                            "{} is on no record, and not as the agent makes its images (a regular file of its own user, mode"
                                    + " 0600, one link); it is left alone.",
                            path));
            int unproven = strangeImages.size();
            for (LoopDevice device : attached) {
                boolean suspect = images.holds(device.backingFile())
                        || (device.tag().isEmpty() && unattached.stream().anyMatch(file -> isOn(device, file)));
                if (suspect && !known.contains(device.number())) {
                    log.warn(
                            "{} is bound to {}, and nothing proves whose it is; it is left alone.",
                            device.name(),
                            device.backingFile());
                    unproven++;
                }
            }
            return unproven;
        }

        private static boolean isOn(LoopDevice device, ImageFile image) {
            return device.backingInode() == image.inode()
                    && device.backingDevice().equals(image.device());
        }
    }

    private static void await(List<CompletableFuture<Boolean>> releases) {
        try {
            CompletableFuture.allOf(releases.toArray(CompletableFuture[]::new))
                    .get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (TimeoutException e) {
            log.info("Some releases go on in the background.");
        } catch (ExecutionException e) {
            log.error("A release was broken off.", e.getCause());
        }
    }
}
