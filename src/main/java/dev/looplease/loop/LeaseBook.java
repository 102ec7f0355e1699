package dev.looplease.loop;

import java.time.Clock;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Leases: granted, renewed, looked up, ended. A lease that is claimed takes its devices with it. */
final class LeaseBook {

    /** How long a client waits for its devices to be gone before it is told that they are on their way. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final LoopRegistry registry;
    private final Releaser releaser;
    private final Agenda agenda;
    private final Limits limits;
    private final Records records;
    private final Ticker ticker;
    private final Clock clock;
    private final LoopEvent.Listener events;

    LeaseBook(
            LoopRegistry registry,
            Releaser releaser,
            Agenda agenda,
            Limits limits,
            Records records,
            Ticker ticker,
            Clock clock,
            LoopEvent.Listener events) {
        this.registry = registry;
        this.releaser = releaser;
        this.agenda = agenda;
        this.limits = limits;
        this.records = records;
        this.ticker = ticker;
        this.clock = clock;
        this.events = events;
    }

    /**
     * Makes a lease whose clock stands still until {@link #start}, so that what it is for can be made first.
     *
     * @param ofDevice whether it is one device's own, and ends with it
     */
    Lease grant(LeaseTerms terms, Caller owner, boolean ofDevice, @Nullable RequestKey key) {
        @Nullable Duration ttl = limits.ttl(terms);
        Lease lease = new Lease(
                new Lease.Terms(
                        Ids.next(),
                        owner.name(),
                        terms.labels(),
                        terms.onExpiry(),
                        terms.maxTtlSeconds().isPresent()
                                ? Duration.ofSeconds(terms.maxTtlSeconds().getAsLong())
                                : null,
                        clock.instant().truncatedTo(ChronoUnit.MILLIS),
                        ofDevice,
                        key),
                Lease.Times.notStarted(ttl),
                records);
        registry.add(lease, owner.quota());
        return lease;
    }

    /** Starts its clock: its client learns of it now. */
    void start(Lease lease) {
        agenda.put(lease.start(ticker.nanos()), subject(lease.id()));
    }

    /** Takes over a lease of an agent before this one; one that ends already goes with its last device. */
    void adopt(Lease lease) {
        registry.adopt(lease);
        if (lease.terms().ofDevice() && lease.devices().isEmpty()) {
            lease.claim(EndReason.LOST);
        }
        registry.endIfEmpty(lease);
        if (lease.claimed() == null) {
            agenda.put(lease.deadline(), subject(lease.id()));
        }
    }

    /** Takes a lease back of which nobody was told, and what was made for it. */
    void revoke(Lease lease) {
        if (lease.claim(EndReason.DELETED)) {
            await(releaseDevices(lease, EndReason.DELETED));
        } else {
            registry.endIfEmpty(lease);
        }
    }

    /** Finds a lease that somebody has been told of, or says why it is not there. */
    Lease find(String id, Caller caller) {
        Optional<Lease> lease = registry.lease(id)
                .filter(found -> found.isStarted() && caller.sees(found.terms().owner()));
        if (lease.isPresent()) {
            return lease.get();
        }
        throw registry.leaseEnding(id)
                .filter(ending -> caller.sees(ending.owner()))
                .<LoopException>map(ending -> new LoopException.Ended("lease", id, ending.reason()))
                .orElseGet(() -> new LoopException.NotFound("lease", id));
    }

    LeaseSnapshot renew(Lease lease, OptionalLong ttlSeconds) {
        @Nullable Duration ttl = ttlSeconds.isPresent() ? limits.ttl(ttlSeconds, "ttlSeconds") : null;
        long before = lease.renew(ttl, ticker).orElseThrow(() -> ended(lease));
        Step.RENEWED.reached();
        if (lease.deadline() < before) {
            agenda.putNoLater(lease.deadline(), subject(lease.id()));
        }
        return lease.snapshot(ticker.nanos());
    }

    /** A device and its lease have one owner; an operator cannot give somebody a device either. */
    void checkOwn(Lease lease, Caller caller) {
        if (!caller.owns(lease.terms().owner())) {
            throw new LoopException.NotOwner("lease", lease.id());
        }
    }

    /** A device and its lease have one owner. */
    void checkSameOwner(Lease lease, ManagedLoop loop) {
        if (!lease.terms().owner().equals(loop.owner())) {
            throw new LoopException.NotOwner("lease", lease.id());
        }
    }

    LoopException.Ended ended(Lease lease) {
        return new LoopException.Ended(
                "lease", lease.id(), Optional.ofNullable(lease.claimed()).orElse(EndReason.DELETED));
    }

    /**
     * Ends a lease and releases its devices.
     *
     * @return whether all are gone already
     */
    boolean end(Lease lease, EndReason reason) {
        if (lease.claim(reason)) {
            event(lease, reason);
            return await(releaseDevices(lease, reason));
        }
        return registry.lease(lease.id()).isEmpty();
    }

    /**
     * Ends every lease, and waits for nothing.
     *
     * @return their devices' releases
     */
    List<CompletableFuture<Boolean>> endAll(EndReason reason) {
        List<CompletableFuture<Boolean>> releases = new ArrayList<>();
        for (Lease lease : registry.leases()) {
            if (lease.claim(reason)) {
                event(lease, reason);
                releases.addAll(releaseDevices(lease, reason));
            }
        }
        return releases;
    }

    /**
     * Ends a lease if its time has come.
     *
     * @param claimsFrom no lease is claimed before
     */
    void expire(String id, long now, long claimsFrom) {
        Optional<Lease> found = registry.lease(id);
        if (found.isEmpty()) {
            return;
        }
        Lease lease = found.get();
        if (now >= claimsFrom && lease.claimIfDue(now)) {
            event(lease, EndReason.EXPIRED);
            releaseDevices(lease, EndReason.EXPIRED);
            return;
        }
        EndReason claimed = lease.claimed();
        if (claimed == null) {
            agenda.putNoLater(Math.max(lease.deadline(), claimsFrom), subject(id));
        } else {
            // Whoever has claimed it may have failed half-way through its devices.
            releaseDevices(lease, claimed, loop -> loop.standing().endReason() == null);
        }
    }

    private List<CompletableFuture<Boolean>> releaseDevices(Lease lease, EndReason reason) {
        return releaseDevices(lease, reason, loop -> true);
    }

    private List<CompletableFuture<Boolean>> releaseDevices(
            Lease lease, EndReason reason, Predicate<ManagedLoop> which) {
        List<CompletableFuture<Boolean>> releases = new ArrayList<>();
        for (String deviceId : lease.devices()) {
            registry.loop(deviceId)
                    .filter(which)
                    .filter(loop -> releaser.markWith(lease, loop, reason))
                    .ifPresent(loop -> releases.add(releaser.submit(loop)));
        }
        registry.endIfEmpty(lease);
        return releases;
    }

    private static boolean await(List<CompletableFuture<Boolean>> releases) {
        try {
            CompletableFuture.allOf(releases.toArray(CompletableFuture[]::new))
                    .get(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        } catch (TimeoutException e) {
            return false;
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        }
        return releases.stream().allMatch(CompletableFuture::join);
    }

    private void event(Lease lease, EndReason reason) {
        events.happened(new LoopEvent(
                LoopEvent.Type.LEASE_ENDED,
                null,
                null,
                lease.id(),
                lease.terms().owner(),
                null,
                reason.toString()));
    }

    private static Agenda.Subject subject(String leaseId) {
        return new Agenda.Subject(Agenda.Kind.LEASE, leaseId);
    }
}
