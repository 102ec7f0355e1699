package dev.looplease.loop;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.concurrent.atomic.AtomicLong;

/** The host's time, and what a test adds to it: the host's own clock is nobody's to set. */
final class MovableClock extends Clock {

    private final AtomicLong millisAhead = new AtomicLong();

    void move(Duration by) {
        millisAhead.addAndGet(by.toMillis());
    }

    @Override
    public Instant instant() {
        return Instant.now().plusMillis(millisAhead.get());
    }

    @Override
    public ZoneId getZone() {
        return ZoneOffset.UTC;
    }

    @Override
    public Clock withZone(ZoneId zone) {
        throw new UnsupportedOperationException("nobody asks for the time in " + zone);
    }
}
