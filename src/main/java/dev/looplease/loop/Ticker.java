package dev.looplease.loop;

import dev.looplease.posix.Posix;

/**
 * The time that leases are measured by. Only differences mean something.
 *
 * <p>The agent's is CLOCK_BOOTTIME: NTP and people who set the wall clock cannot move it, and it goes on while a laptop
 * sleeps, which {@link System#nanoTime()} (CLOCK_MONOTONIC) does not. clock_gettime(2).
 */
@FunctionalInterface
public interface Ticker {

    /** Nanoseconds since some fixed moment; never decreases. */
    long nanos();

    /** The host's CLOCK_BOOTTIME. */
    static Ticker boottime() {
        return Posix::boottimeNanos;
    }
}
