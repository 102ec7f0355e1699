package dev.looplease.loop;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A few threads, not counting those that hang: closing the device of an image on a dead server may never return, and nothing
 * can interrupt it. Whoever waits behind such a one gets a thread of its own.
 */
final class ReleaseThreads extends ThreadPoolExecutor {

    /** Enough to free many devices at once, few enough that ten thousand leases ending together leave room for requests. */
    static final int THREADS = 16;

    /** With those that hang: what hangs by the hundred takes the host's memory, too. */
    static final int MOST = 256;

    /** A release that takes longer hangs, for all that can be known. */
    static final Duration HANGS_AFTER = Duration.ofSeconds(3);

    private final Ticker ticker;
    private final Map<Thread, Long> beginnings = new ConcurrentHashMap<>();

    ReleaseThreads(Ticker ticker) {
        super(
                THREADS,
                MOST,
                1,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().name("release-", 1).daemon().factory());
        this.ticker = ticker;
    }

    @Override
    protected void beforeExecute(Thread thread, Runnable work) {
        beginnings.put(thread, ticker.nanos());
    }

    @Override
    protected void afterExecute(Runnable work, @Nullable Throwable failure) {
        beginnings.remove(Thread.currentThread());
    }

    /** Gives a thread for each that hangs now, and takes it back once it goes on; to be called now and then. */
    void makeRoom() {
        long now = ticker.nanos();
        long hanging = beginnings.values().stream()
                .filter(beginning -> now - beginning > HANGS_AFTER.toNanos())
                .count();
        setCorePoolSize((int) Math.min(THREADS + hanging, MOST));
    }
}
