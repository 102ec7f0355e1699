package dev.looplease.security;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.function.LongSupplier;

/**
 * Slows down whoever tries out tokens. Only the answer to a wrong token waits, a right one never does, whoever else
 * sends from the same address; and so few may wait at once that those who come with a right one find a thread.
 */
final class WrongTokens {

    /** So many a client with an old configuration may send before it is slowed down. */
    static final int FREE = 20;

    /** After that one more is free each such time. */
    static final Duration FREE_AGAIN = Duration.ofMillis(200);

    static final Duration LONGEST = Duration.ofMillis(500);

    /** Of the web server's 200 threads. */
    static final int WAIT_AT_ONCE = 16;

    private static final int ADDRESSES = 10_000;

    private final LongSupplier nanos;
    private final Pause pause;
    private final Semaphore waiting = new Semaphore(WAIT_AT_ONCE);

    /** When an address has used up all it has free; the one that was heard of longest ago is forgotten first. */
    private final Map<String, Long> paidUntil = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Long> eldest) {
            return size() > ADDRESSES;
        }
    };

    /** Waits; tests count instead. */
    interface Pause {
        void of(Duration duration) throws InterruptedException;
    }

    WrongTokens() {
        this(System::nanoTime, Thread::sleep);
    }

    WrongTokens(LongSupplier nanos, Pause pause) {
        this.nanos = nanos;
        this.pause = pause;
    }

    /** Counts a wrong token, and waits where there were many of late. */
    void slowDown(String address) {
        Duration wait = owed(address);
        if (wait.isZero() || !waiting.tryAcquire()) {
            return;
        }
        try {
            pause.of(wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            waiting.release();
        }
    }

    private synchronized Duration owed(String address) {
        long now = nanos.getAsLong();
        long free = FREE * FREE_AGAIN.toNanos();
        long longest = LONGEST.toNanos();
        long paid = Math.max(paidUntil.getOrDefault(address, now), now) + FREE_AGAIN.toNanos();
        // No debt grows beyond what is ever waited for.
        paidUntil.put(address, Math.min(paid, now + free + longest));
        return Duration.ofNanos(Math.clamp(paid - now - free, 0, longest));
    }
}
