package dev.looplease.loop;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/** A time that goes on when a test says so. */
final class ManualTicker implements Ticker {

    private final AtomicLong now = new AtomicLong(1_000_000_000_000L);
    private volatile @Nullable Stall stall;

    private static final class Stall {
        private final Thread who = Thread.currentThread();
        private final Runnable meanwhile;
        private int looks;

        Stall(int looks, Runnable meanwhile) {
            this.looks = looks;
            this.meanwhile = meanwhile;
        }
    }

    @Override
    public long nanos() {
        long seen = now.get();
        Stall next = stall;
        if (next != null && next.who == Thread.currentThread() && --next.looks == 0) {
            stall = null;
            next.meanwhile.run();
        }
        return seen;
    }

    void advance(Duration by) {
        now.addAndGet(by.toNanos());
    }

    /** This thread looks at the clock for the nth time from now, and something happens before it goes by what it saw. */
    void stallHere(int nth, Runnable meanwhile) {
        stall = new Stall(nth, meanwhile);
    }
}
