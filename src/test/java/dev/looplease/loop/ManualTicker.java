package dev.looplease.loop;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;

/** A time that goes on when a test says so. */
final class ManualTicker implements Ticker {

    private final AtomicLong now = new AtomicLong(1_000_000_000_000L);

    @Override
    public long nanos() {
        return now.get();
    }

    void advance(Duration by) {
        now.addAndGet(by.toNanos());
    }
}
