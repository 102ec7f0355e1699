package dev.looplease.loop;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * Says by the host's wall clock when a moment of the {@link Ticker} is, for people; nothing is decided by it.
 *
 * <p>The two clocks are never read at quite the same time, and NTP makes one of them a little slower or faster. So how far
 * they are apart is remembered, and measured anew only when that is off by more than such things explain: the end of a
 * lease that nobody renews is told in the same words each time.
 */
public final class WallClock {

    /** More than two readings of the clocks lie apart, and less than anybody sets a clock by. */
    private static final Duration TOLERANCE = Duration.ofMillis(250);

    private final Ticker ticker;
    private final Clock clock;
    /** The wall clock's time when the ticker was at 0. */
    private volatile Instant zero;

    /** The wall clock is {@code clock}, and goes beside {@code ticker}. */
    public WallClock(Ticker ticker, Clock clock) {
        this.ticker = ticker;
        this.clock = clock;
        zero = measure();
    }

    /** When that moment of the ticker was or will be, to the millisecond. */
    public Instant at(long nanos) {
        Instant measured = measure();
        if (Duration.between(zero, measured).abs().compareTo(TOLERANCE) > 0) {
            zero = measured;
        }
        return zero.plusNanos(nanos).truncatedTo(ChronoUnit.MILLIS);
    }

    private Instant measure() {
        return clock.instant().minusNanos(ticker.nanos());
    }
}
