package dev.looplease.usage;

import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A thread for system calls that may never return, such as one that waits for a dead server: nothing can interrupt
 * them, so the thread is left behind when the time is up. It is a platform thread, because such a call would pin a
 * virtual thread's carrier, and a daemon.
 */
final class PatientThread implements AutoCloseable {

    private final ExecutorService thread;

    PatientThread(String name) {
        thread = Executors.newSingleThreadExecutor(
                Thread.ofPlatform().daemon().name(name).factory());
    }

    /** The call did not return in time; it goes on. */
    static final class StuckException extends IOException {

        private static final long serialVersionUID = 1L;
        private final transient Future<?> call;

        StuckException(String message, Future<?> call) {
            super(message);
            this.call = call;
        }

        Future<?> call() {
            return call;
        }
    }

    /** Waits at most {@code limit}, an interrupt notwithstanding: that is noted and left to the caller's next wait. */
    <T> T call(Duration limit, Callable<T> work) throws IOException {
        Future<T> future = thread.submit(work);
        long deadline = System.nanoTime() + limit.toNanos();
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    return future.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                } catch (TimeoutException e) {
                    throw new StuckException("no answer in " + limit.toSeconds() + " s", future);
                }
            }
        } catch (ExecutionException e) {
            throw failure(Objects.requireNonNull(e.getCause()));
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static IOException failure(Throwable cause) {
        return switch (cause) {
            case PosixException posix -> posix;
            case IOException io -> io;
            case RuntimeException unchecked -> throw unchecked;
            case Error error -> throw error;
            default -> new IOException(cause);
        };
    }

    /** Does not wait: the thread ends when its call does. */
    @Override
    public void close() {
        thread.shutdown();
    }
}
