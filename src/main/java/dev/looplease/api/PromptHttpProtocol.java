package dev.looplease.api;

import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.coyote.Processor;
import org.apache.coyote.http11.Http11NioProtocol;
import org.apache.coyote.http11.Http11Processor;
import org.apache.tomcat.util.net.AbstractEndpoint.Handler.SocketState;
import org.apache.tomcat.util.net.SocketWrapperBase;

/**
 * HTTP/1.1 whose thread, once it has answered, looks out for the connection's next request for a moment before it gives the
 * connection back to Tomcat's poller. Who works in a loop asks again at once; then the poller would have to be woken, and to
 * wake another thread: on a virtual machine whose processors have nothing else to do, that takes longer than the rest of
 * most requests. It looks only while no other request is being worked on, and so takes no processor from any.
 *
 * <p>And it bounds the {@link HalfHeads}: where it cannot wait for the rest of a head it closes the connection.
 */
public final class PromptHttpProtocol extends Http11NioProtocol {

    /** Longer than it takes to wake a client that waits for the answer, and for it to ask again. */
    private static final Duration LOOK_OUT = Duration.ofNanos(200_000);

    /** One in so many connections may have half a head. */
    private static final int CONNECTIONS_TO_A_HALF_HEAD = 8;

    private final AtomicInteger serving = new AtomicInteger();
    private final HalfHeads halfHeads = new HalfHeads();
    private final long lookOutNanos;

    /** Made by Tomcat, by its name. */
    public PromptHttpProtocol() {
        this(LOOK_OUT);
    }

    PromptHttpProtocol(Duration lookOut) {
        lookOutNanos = lookOut.toNanos();
    }

    @Override
    protected Processor createProcessor() {
        return new PromptProcessor();
    }

    private int mostHalfHeads() {
        return 1 + getMaxConnections() / CONNECTIONS_TO_A_HALF_HEAD;
    }

    private final class PromptProcessor extends Http11Processor {

        PromptProcessor() {
            super(PromptHttpProtocol.this, PromptHttpProtocol.this.getAdapter());
        }

        @Override
        public SocketState service(SocketWrapperBase<?> connection) throws IOException {
            serving.incrementAndGet();
            try {
                halfHeads.forget(connection);
                SocketState state = super.service(connection);
                // OPEN: between two requests.
                while (state == SocketState.OPEN && isAskedAgain(connection)) {
                    state = super.service(connection);
                }
                boolean refused = isHalf(state) && !halfHeads.admit(connection, mostHalfHeads());
                return refused ? SocketState.CLOSED : state;
            } finally {
                serving.decrementAndGet();
            }
        }

        private boolean isHalf(SocketState state) {
            return state == SocketState.LONG && !isAsync();
        }

        @SuppressWarnings("ThreadPriorityCheck") // whoever else can run meanwhile shall; nothing depends on it
        private boolean isAskedAgain(SocketWrapperBase<?> connection) throws IOException {
            long began = System.nanoTime();
            while (serving.get() == 1 && !isPaused() && System.nanoTime() - began < lookOutNanos) {
                if (connection.isReadyForRead()) {
                    return true;
                }
                Thread.yield();
            }
            return false;
        }
    }
}
