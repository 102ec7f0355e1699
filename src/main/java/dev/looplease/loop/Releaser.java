package dev.looplease.loop;

import dev.looplease.image.ImageFile;
import dev.looplease.losetup.LoopIdentity;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends devices that were claimed for release, each as often as it takes: at once where it works, with back-off and jitter
 * where it fails, and within a second of the last close where somebody still holds one open. After
 * {@value #TRIES} failures in a row a device is STUCK: still tried, once a minute. Waiting for a last close is no failure.
 */
final class Releaser implements AutoCloseable {

    static final int TRIES = 8;

    private static final Logger log = LoggerFactory.getLogger(Releaser.class);

    private static final Duration FIRST_RETRY = Duration.ofMillis(100);
    private static final Duration STUCK_RETRY = Duration.ofMinutes(1);
    private static final Duration LOOK_AGAIN = Duration.ofMillis(300);
    private static final Duration PATIENCE = Duration.ofMillis(100);
    private static final Duration BUSY_RETRY = Duration.ofSeconds(1);
    private static final Duration LONGEST_BETWEEN_FREEING = Duration.ofSeconds(30);

    private final LoopRegistry registry;
    private final Teardown teardown;
    private final Ticker ticker;
    private final Agenda agenda;
    private final LoopEvent.Listener events;
    private final Map<String, Effort> efforts = new ConcurrentHashMap<>();
    private final ReleaseThreads pool;

    /** A thread of its own, whatever becomes of releases; and what hangs there does not gather more of its kind. */
    private final ExecutorService background = new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(2),
            Thread.ofPlatform().name("background").daemon().factory(),
            new ThreadPoolExecutor.DiscardPolicy());

    /**
     * What was tried for one device so far.
     *
     * @param failures how often clean-up failed in a row
     * @param freeings how often its users were removed in vain
     * @param freeAgainAt when that is next worth a try
     * @param unasked whether the kernel was not even asked to detach it at the last close
     */
    private record Effort(int failures, int freeings, long freeAgainAt, boolean unasked) {
        static final Effort NONE = new Effort(0, 0, Long.MIN_VALUE, false);

        Effort failed() {
            return new Effort(failures + 1, freeings, freeAgainAt, unasked);
        }

        Effort waited() {
            return new Effort(0, freeings, freeAgainAt, unasked);
        }

        Effort freed(long againAt) {
            return new Effort(failures, freeings + 1, againAt, unasked);
        }

        Effort of(Teardown.Detached held) {
            return new Effort(failures, freeings, freeAgainAt, held == Teardown.Detached.NOT_BEFORE_ITS_PARTITIONS);
        }

        Effort freeingAtOnce() {
            return new Effort(failures, 0, Long.MIN_VALUE, unasked);
        }
    }

    Releaser(LoopRegistry registry, Teardown teardown, Ticker ticker, Agenda agenda, LoopEvent.Listener events) {
        this.registry = registry;
        this.teardown = teardown;
        this.ticker = ticker;
        this.agenda = agenda;
        this.events = events;
        this.pool = new ReleaseThreads(ticker);
    }

    /** Marks a device for release; it is nobody's any more, whatever the kernel says of it. */
    void mark(ManagedLoop loop, EndReason reason, OnExpiry policy) {
        registry.insist(loop, standing -> standing.releasing(reason, policy));
        marked(loop, reason);
    }

    private void marked(ManagedLoop loop, EndReason reason) {
        // Who waited for a last close under DETACH, and is told to use force now, shall not wait for the next attempt.
        efforts.computeIfPresent(loop.id(), (id, effort) -> effort.freeingAtOnce());
        Step.RELEASE_MARKED.reached();
        events.happened(event(LoopEvent.Type.DEVICE_RELEASING, loop, reason.toString()));
    }

    /**
     * Marks a device for release as its lease ends, unless it lives by another lease by now.
     *
     * @return whether it is marked
     */
    boolean markWith(Lease lease, ManagedLoop loop, EndReason reason) {
        Standing marked = registry.insist(
                loop,
                standing -> standing.lease() == lease
                        ? standing.releasing(reason, lease.terms().onExpiry())
                        : standing);
        if (marked.lease() != lease) {
            return false;
        }
        marked(loop, reason);
        return true;
    }

    /** Tries a marked device again on the pool. */
    void retry(ManagedLoop loop) {
        submit(loop).exceptionally(e -> {
            log.error("Releasing {} was broken off.", loop.id(), e);
            return false;
        });
    }

    /** Does something that may take its time, one thing after the other; not if the last of its kind is still waiting. */
    void background(Runnable work) {
        background.execute(() -> {
            try {
                work.run();
            } catch (RuntimeException e) {
                log.error("Work in the background failed.", e);
            }
        });
    }

    /** Lets releases go on beside those that hang; to be called now and then. */
    void makeRoom() {
        pool.makeRoom();
    }

    /** Releases a marked device on the pool. */
    CompletableFuture<Boolean> submit(ManagedLoop loop) {
        try {
            return CompletableFuture.supplyAsync(() -> releaseUnlessBusy(loop), pool);
        } catch (RejectedExecutionException stopping) {
            return CompletableFuture.completedFuture(false);
        } catch (Error e) {
            // Of threads there may be none to be had. The device is tried again, and those behind it too.
            failed(loop, e);
            return CompletableFuture.completedFuture(false);
        }
    }

    /** A device that another call works on is waited for on the agenda, not on a thread that others need. */
    private boolean releaseUnlessBusy(ManagedLoop loop) {
        try {
            if (!loop.work().tryLock(PATIENCE.toMillis(), TimeUnit.MILLISECONDS)) {
                retryAfter(loop, BUSY_RETRY);
                return false;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
        try {
            return release(loop);
        } finally {
            loop.work().unlock();
        }
    }

    /**
     * Releases a marked device on this thread, as far as that is possible now; what is left is tried again later.
     *
     * @return whether it is gone
     */
    boolean release(ManagedLoop loop) {
        loop.work().lock();
        try {
            if (registry.loop(loop.id()).isEmpty()) {
                return true;
            }
            EndReason reason = Optional.ofNullable(loop.standing().endReason()).orElse(EndReason.DELETED);
            try {
                if (!detach(loop)) {
                    efforts.computeIfPresent(loop.id(), (id, effort) -> effort.waited());
                    retryAfter(loop, LOOK_AGAIN);
                    Step.RELEASE_WAITING.reached();
                    return false;
                }
                Step.RELEASE_DETACHED.reached();
                deleteImage(loop);
                Step.RELEASE_IMAGE_DELETED.reached();
                registry.forget(loop, reason);
            } catch (IOException | RuntimeException | Error e) {
                // An Error too (no thread, no memory, a class that is missing): who is not noted here is tried never
                // again.
                failed(loop, e);
                return false;
            }
            efforts.remove(loop.id());
            agenda.cancel(subject(loop));
            if (loop.wasAnnounced() || loop.isKnown()) {
                events.happened(event(LoopEvent.Type.DEVICE_RELEASED, loop, reason.toString()));
            }
            return true;
        } finally {
            loop.work().unlock();
        }
    }

    private boolean detach(ManagedLoop loop) throws IOException {
        LoopIdentity attachment = loop.standing().attachment();
        if (attachment == null) {
            return loop.isAttachCertain() || detachStray(loop);
        }
        Effort effort = efforts.getOrDefault(loop.id(), Effort.NONE);
        if (ticker.nanos() >= effort.freeAgainAt()) {
            Duration pause = backOff(Duration.ofSeconds(1), effort.freeings() + 1, LONGEST_BETWEEN_FREEING);
            Teardown.Detached detached =
                    teardown.detachUsed(attachment, loop.standing().policy() == OnExpiry.UNMOUNT);
            efforts.put(
                    loop.id(), effort.freed(ticker.nanos() + pause.toNanos()).of(detached));
        } else if (effort.unasked()) {
            efforts.put(loop.id(), effort.of(teardown.detachUsed(attachment, false)));
        }
        if (!teardown.isGone(attachment)) {
            return false;
        }
        registry.note(loop, now -> now.withAttachment(null));
        return loop.isAttachCertain() || detachStray(loop);
    }

    /** Its attach failed, and may have bound something: that is looked for, and detached like the rest. */
    private boolean detachStray(ManagedLoop loop) throws IOException {
        Optional<LoopIdentity> stray = teardown.findStray(loop);
        if (stray.isEmpty()) {
            loop.attachIsCertain();
            return true;
        }
        log.warn("{} had been attached in spite of a failure.", loop.id());
        registry.note(loop, now -> now.withAttachment(stray.get()));
        return detach(loop);
    }

    private void deleteImage(ManagedLoop loop) throws IOException {
        var image = loop.standing().image();
        if (image != null && loop.ownsImage()) {
            teardown.deleteImage(image);
        }
    }

    private void failed(ManagedLoop loop, Throwable e) {
        Effort effort = efforts.getOrDefault(loop.id(), Effort.NONE).failed();
        int failures = effort.failures();
        boolean spent = failures >= TRIES;
        retryAfter(loop, spent ? STUCK_RETRY : backOff(FIRST_RETRY, failures, STUCK_RETRY));
        efforts.put(loop.id(), effort);
        log.atWarn()
                .addKeyValue("deviceId", loop.id())
                .setCause(e)
                .log("Releasing a device failed for the {}. time: {}", failures, e.getMessage());
        if (spent && loop.standing().state() != LoopState.STUCK) {
            registry.insist(loop, standing -> standing.with(LoopState.STUCK));
            events.happened(event(LoopEvent.Type.DEVICE_STUCK, loop, e.getMessage()));
        }
    }

    /** Doubles each time, give or take a quarter, so that many devices do not come back in step. */
    private static Duration backOff(Duration first, int tries, Duration most) {
        long nanos = Math.min(first.toNanos() << Math.min(tries - 1, 20), most.toNanos());
        return Duration.ofNanos(nanos * 3 / 4 + ThreadLocalRandom.current().nextLong(nanos / 2));
    }

    private void retryAfter(ManagedLoop loop, Duration pause) {
        agenda.put(ticker.nanos() + pause.toNanos(), subject(loop));
    }

    private static Agenda.Subject subject(ManagedLoop loop) {
        return new Agenda.Subject(Agenda.Kind.RELEASE, loop.id());
    }

    static LoopEvent event(LoopEvent.Type type, ManagedLoop loop, @Nullable String detail) {
        Standing standing = loop.standing();
        ImageFile image = standing.image();
        return new LoopEvent(
                type,
                loop.id(),
                loop.lastName(),
                standing.lease().id(),
                loop.owner(),
                image == null ? null : image.path().toString(),
                detail);
    }

    /** Lets the releases under way finish, a bounded time; what is left the kernel still knows. */
    @Override
    public void close() {
        background.shutdown();
        pool.shutdown();
        try {
            if (!pool.awaitTermination(5, TimeUnit.SECONDS) || !background.awaitTermination(1, TimeUnit.SECONDS)) {
                log.warn("Not everything under way has come to its end.");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            background.shutdownNow();
            pool.shutdownNow();
        }
    }
}
