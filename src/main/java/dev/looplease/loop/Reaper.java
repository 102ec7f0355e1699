package dev.looplease.loop;

import java.time.Duration;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends what is due: one thread, driven by the next deadline. It only marks, and hands the work to the {@link Releaser},
 * so nothing slow delays the next lease; whatever fails, it goes on.
 */
public final class Reaper implements AutoCloseable {

    private static final Logger log = LoggerFactory.getLogger(Reaper.class);

    /** Deadlines are CLOCK_BOOTTIME and parking is not: look at the clock at least this often. */
    private static final Duration LONGEST_NAP = Duration.ofMillis(500);

    /** Waking later than this means that the process, or the host, stood still. */
    private static final Duration STALL = Duration.ofSeconds(1);

    /** When something that failed is due again. */
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(1);

    /** How often records are compared with the kernel. */
    private static final Duration COMPARE_EVERY = Duration.ofMinutes(1);

    private static final Agenda.Subject COMPARISON = new Agenda.Subject(Agenda.Kind.COMPARISON, "");

    private final LeaseBook leases;
    private final LoopRegistry registry;
    private final Inventory inventory;
    private final Releaser releaser;
    private final Agenda agenda;
    private final Ticker ticker;
    private final Duration grace;
    private volatile boolean stopped;
    private long nextLook;
    private long claimsFrom = Long.MIN_VALUE;

    Reaper(
            LeaseBook leases,
            LoopRegistry registry,
            Inventory inventory,
            Releaser releaser,
            Agenda agenda,
            Ticker ticker,
            Duration grace) {
        this.leases = leases;
        this.registry = registry;
        this.inventory = inventory;
        this.releaser = releaser;
        this.agenda = agenda;
        this.ticker = ticker;
        this.grace = grace;
        this.nextLook = ticker.nanos();
    }

    /** Starts the thread. */
    void start() {
        nextLook = ticker.nanos();
        agenda.put(nextLook + COMPARE_EVERY.toNanos(), COMPARISON);
        Thread.ofPlatform().name("reaper").daemon().start(this::run);
    }

    /** Whatever is thrown, Errors too: no lease would ever end any more. */
    private void run() {
        while (!stopped) {
            try {
                lookUntilItFails();
            } catch (Throwable untold) {
                // Without memory even the log may fail.
                LockSupport.parkNanos(LONGEST_NAP.toNanos());
            }
        }
    }

    private void lookUntilItFails() {
        try {
            while (!stopped) {
                LockSupport.parkNanos(Math.max(0, look() - ticker.nanos()));
            }
        } catch (Throwable e) {
            LockSupport.parkNanos(LONGEST_NAP.toNanos());
            log.error("The reaper goes on after a failure.", e);
        }
    }

    /**
     * Ends what is due now.
     *
     * @return when to look again
     */
    synchronized long look() {
        long now = ticker.nanos();
        long late = now - nextLook;
        if (late > STALL.toNanos()) {
            // A grace under way goes on after the stall. Begun anew each time it would never end where stalls are
            // frequent.
            claimsFrom = nextLook < claimsFrom ? claimsFrom + late : now + grace.toNanos();
            log.warn(
                    "The agent stood still for {} ms: leases get {} s to be renewed before any is ended.",
                    late / 1_000_000,
                    (claimsFrom - now) / 1_000_000_000);
        }
        for (Agenda.Subject due : agenda.takeDue(now)) {
            try {
                lookAt(due, now);
            } catch (Throwable e) {
                // It is nobody's any more, and those behind it have done nothing wrong.
                agenda.putNoLater(now + LOOK_AGAIN.toNanos(), due);
                log.error("{} will be looked at again after a failure.", due, e);
            }
        }
        nextLook = Math.min(agenda.next(), now + LONGEST_NAP.toNanos());
        releaser.makeRoom();
        return nextLook;
    }

    private void lookAt(Agenda.Subject due, long now) {
        switch (due.kind()) {
            case LEASE -> leases.expire(due.id(), now, claimsFrom);
            case RELEASE -> registry.loop(due.id()).ifPresent(releaser::retry);
            case COMPARISON -> {
                agenda.put(now + COMPARE_EVERY.toNanos(), COMPARISON);
                releaser.background(inventory::mendAll);
                releaser.background(inventory::tendNodes);
            }
        }
    }

    @Override
    public void close() {
        stopped = true;
    }
}
