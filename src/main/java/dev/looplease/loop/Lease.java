package dev.looplease.loop;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One promise to keep devices until a moment, and who holds it. Its monitor decides every race: a renewal, a new member
 * and the claim that ends it each see the others or none. Nothing slow happens inside but the write to the journal,
 * which takes microseconds and must be in the order of the changes.
 */
final class Lease {

    /** A deadline that no clock reaches. */
    static final long NEVER = Long.MAX_VALUE;

    private static final Logger log = LoggerFactory.getLogger(Lease.class);

    /**
     * What stays as it is.
     *
     * @param maxTtl its whole life, however often it is renewed; null for no end
     * @param ofDevice made for one device: it ends with its last one
     * @param key the Idempotency-Key that it was made with
     */
    record Terms(
            String id,
            String owner,
            Map<String, String> labels,
            OnExpiry onExpiry,
            @Nullable Duration maxTtl,
            Instant createTime,
            boolean ofDevice,
            @Nullable RequestKey key) {}

    /**
     * What time and clients change.
     *
     * @param ttl from each renewal; null for a permanent lease
     * @param started whether its client may know of it; until then its clock stands still
     * @param claimed why it ends; null while it lives
     */
    record Times(
            @Nullable Duration ttl,
            boolean started,
            long deadline,
            long lastDeadline,
            @Nullable EndReason claimed) {

        static Times notStarted(@Nullable Duration ttl) {
            return new Times(ttl, false, NEVER, NEVER, null);
        }

        Times until(@Nullable Duration newTtl, long now) {
            long deadline = newTtl == null ? NEVER : Math.min(now + newTtl.toNanos(), lastDeadline);
            return new Times(newTtl, true, deadline, lastDeadline, claimed);
        }

        Times claimed(EndReason reason) {
            return new Times(ttl, started, deadline, lastDeadline, reason);
        }
    }

    private final Terms terms;
    private final Records records;
    private final Set<String> devices = new LinkedHashSet<>();
    private Times times;
    private long revision;

    Lease(Terms terms, Times times, Records records) {
        this(terms, times, 1, records);
    }

    /** @param revision of one that an agent before this one gave: one that it cannot have had before */
    Lease(Terms terms, Times times, long revision, Records records) {
        this.terms = terms;
        this.times = times;
        this.revision = revision;
        this.records = records;
    }

    Terms terms() {
        return terms;
    }

    String id() {
        return terms.id();
    }

    /** Records that it is about to be made use of: what carries its name and never started is undone. */
    synchronized void announce() {
        records.save(terms, times);
    }

    /** Records what a recovered agent has found of it, if that is possible now: it holds without the record too. */
    synchronized void record() {
        try {
            records.save(terms, times);
        } catch (LoopException e) {
            log.warn("What became of {} is not in the journal: {}", terms.id(), e.getMessage());
        }
    }

    /** Nobody ends it before that moment, except its owner. */
    synchronized void spareUntil(long moment) {
        if (times.deadline() < moment) {
            times = new Times(times.ttl(), times.started(), moment, times.lastDeadline(), times.claimed());
        }
    }

    /** The clock starts: until now the lease could not end, because nobody had been given it. */
    synchronized long start(long now) {
        long last = terms.maxTtl() == null ? NEVER : now + terms.maxTtl().toNanos();
        become(new Times(times.ttl(), true, NEVER, last, times.claimed()).until(times.ttl(), now));
        return times.deadline();
    }

    /**
     * Prolongs it from now, never past its last moment. A lease whose deadline has passed but which nobody has claimed yet
     * is prolonged too: it ends when it is claimed.
     *
     * @param ticker looked at inside: whoever looks first and renews last would cut short what the other was answered
     * @return its deadline before; empty when it was not there any more to prolong
     * @throws LoopException.Invalid when a permanent lease is to get a ttl
     */
    synchronized OptionalLong renew(@Nullable Duration newTtl, Ticker ticker) {
        if (times.claimed() != null) {
            return OptionalLong.empty();
        }
        if (times.ttl() == null && newTtl != null) {
            throw new LoopException.Invalid("ttlSeconds", "must be left out: the lease is permanent");
        }
        long before = times.deadline();
        Times renewed = times.until(newTtl == null ? times.ttl() : newTtl, ticker.nanos());
        try {
            records.save(terms, renewed);
        } catch (LoopException full) {
            // A full disk is what many tests make on purpose. Whoever still renews then must not lose everything to it:
            // only an agent that is killed as well would remember the shorter time.
            log.warn("The renewal of {} counts, but is not in the journal: {}", terms.id(), full.getMessage());
        }
        Step.RENEW_RECORDED.reached();
        times = renewed;
        return OptionalLong.of(before);
    }

    /** Returns whether the caller is the one who ends it. */
    synchronized boolean claim(EndReason reason) {
        if (times.claimed() != null) {
            return false;
        }
        times = times.claimed(reason);
        revision++;
        if (times.started()) {
            try {
                records.save(terms, times);
            } catch (LoopException e) {
                // It ends all the same; an agent killed now would let it expire.
                log.warn("The end of {} is not in the journal: {}", terms.id(), e.getMessage());
            }
        }
        Step.CLAIMED.reached();
        return true;
    }

    /** Does that only where its deadline has passed. */
    synchronized boolean claimIfDue(long now) {
        return times.deadline() <= now && claim(EndReason.EXPIRED);
    }

    /** Returns why it ends; null while it lives. */
    synchronized @Nullable EndReason claimed() {
        return times.claimed();
    }

    synchronized boolean isStarted() {
        return times.started();
    }

    synchronized long deadline() {
        return times.deadline();
    }

    /** Returns whether the device is in now; false when the lease ends already. */
    synchronized boolean join(String deviceId) {
        if (times.claimed() != null) {
            return false;
        }
        if (devices.add(deviceId)) {
            revision++;
        }
        return true;
    }

    /** Takes back a device that a recovered agent found; the lease may be ending already. */
    synchronized void rejoin(String deviceId) {
        devices.add(deviceId);
    }

    /**
     * Lets a device go, and with the last one the lease that was made for one: claimed in the same step, or another could
     * join it in between. Without a record: it is struck out next, and recovery would end it too.
     */
    synchronized void leave(String deviceId, EndReason reason) {
        if (devices.remove(deviceId)) {
            revision++;
        }
        if (devices.isEmpty() && terms.ofDevice() && times.claimed() == null) {
            times = times.claimed(reason);
            revision++;
            Step.CLAIMED.reached();
        }
    }

    synchronized List<String> devices() {
        return new ArrayList<>(devices);
    }

    synchronized LeaseSnapshot snapshot(long now) {
        return new LeaseSnapshot(
                terms.id(),
                revision,
                terms.owner(),
                terms.labels(),
                times.claimed() == null ? LeaseSnapshot.State.ACTIVE : LeaseSnapshot.State.RELEASING,
                terms.onExpiry(),
                now,
                times.ttl(),
                terms.createTime(),
                remaining(times.deadline(), now),
                remaining(times.lastDeadline(), now),
                devices());
    }

    private void become(Times next) {
        records.save(terms, next);
        times = next;
    }

    private static @Nullable Duration remaining(long until, long now) {
        return until == NEVER ? null : Duration.ofNanos(Math.max(0, until - now));
    }
}
