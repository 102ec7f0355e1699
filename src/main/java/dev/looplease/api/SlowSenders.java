package dev.looplease.api;

import jakarta.servlet.ServletInputStream;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import org.apache.coyote.ActionCode;
import org.apache.coyote.Request;

/**
 * How long a thread waits for what a client is slow to send. Tomcat's time-outs begin anew with each byte, so that two
 * hundred senders of a byte a second would have all its threads for days. Here a body has a deadline; and when many are
 * waited for at once, further ones have a much shorter one, so that most threads stay free for others. The rest of a body
 * that nobody wants has little time and places of its own: who is refused takes none from those who are not.
 */
final class SlowSenders {

    private static final int PATIENT_THREADS = 64;
    private static final int DRAINING_THREADS = 32;
    private static final Duration PATIENCE = Duration.ofSeconds(10);
    private static final Duration IMPATIENCE = Duration.ofMillis(500);
    private static final Duration DRAINING = Duration.ofSeconds(2);

    /** At first as long as a client on the same host needs to send a body after its header; then twice as long each time. */
    private static final long SHORTEST_PAUSE_NANOS = 10_000;

    /** Nobody who waits that long notices it, and hundred looks a second cost nothing. */
    private static final long LONGEST_PAUSE_NANOS = 10_000_000;

    private final Semaphore patient = new Semaphore(PATIENT_THREADS);
    private final Semaphore draining = new Semaphore(DRAINING_THREADS);

    /** The waiting for one body; begins when it must be waited for. */
    static final class Wait implements AutoCloseable {

        private final Request received;
        private final Semaphore places;
        private final Duration withPlace;
        private final Duration withoutPlace;
        private long deadline;
        private boolean begun;
        private boolean hasPlace;

        private Wait(Request received, Semaphore places, Duration withPlace, Duration withoutPlace) {
            this.received = received;
            this.places = places;
            this.withPlace = withPlace;
            this.withoutPlace = withoutPlace;
        }

        /** Returns when reading the stream blocks no more. */
        void await(ServletInputStream in) throws IOException {
            requirePlace();
            if (in.available() == 0) {
                await();
            }
        }

        /**
         * Returns when reading from the connection blocks no more: there is something, or the end.
         *
         * @throws RequestTimeoutException when it has taken too long in all
         */
        void await() throws IOException {
            requirePlace();
            long pause = SHORTEST_PAUSE_NANOS;
            while (!hasArrived()) {
                begin();
                if (System.nanoTime() - deadline >= 0) {
                    throw new RequestTimeoutException();
                }
                LockSupport.parkNanos(pause);
                pause = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
            }
        }

        /** In chunks a byte of a chunk's header counts as arrived, and whoever reads waits for the rest of that. */
        private void requirePlace() throws RequestTimeoutException {
            if (received.getContentLengthLong() < 0 && !received.isFinished()) {
                begin();
                if (!hasPlace) {
                    throw new RequestTimeoutException();
                }
            }
        }

        /** Looks at the connection; {@link ServletInputStream#available} only knows what has been read from it. */
        private boolean hasArrived() {
            if (received.isFinished()) {
                close();
                return true;
            }
            received.action(ActionCode.AVAILABLE, true);
            return received.getAvailable() > 0;
        }

        private void begin() {
            if (!begun) {
                begun = true;
                hasPlace = places.tryAcquire();
                deadline = System.nanoTime() + (hasPlace ? withPlace : withoutPlace).toNanos();
            }
        }

        @Override
        public void close() {
            if (hasPlace) {
                hasPlace = false;
                places.release();
            }
        }
    }

    /** For a body that somebody wants. */
    Wait newWait(Request received) {
        return new Wait(received, patient, PATIENCE, IMPATIENCE);
    }

    /** For the rest of one that nobody wants; without a place it is not waited for at all. */
    Wait newDrain(Request received) {
        return new Wait(received, draining, DRAINING, Duration.ZERO);
    }
}
