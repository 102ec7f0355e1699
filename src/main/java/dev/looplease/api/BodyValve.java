package dev.looplease.api;

import jakarta.servlet.ServletException;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.valves.ValveBase;
import org.apache.coyote.ActionCode;
import org.apache.tomcat.util.net.ApplicationBufferHandler;

/**
 * Times the arrival of a body. The rest of one that was refused is read too, so that a client which sends all before it
 * listens gets its answer: Tomcat would do that for as long as the client likes.
 */
final class BodyValve extends ValveBase {

    /** The request attribute with the {@link SlowSenders.Wait}. */
    static final String WAIT = SlowSenders.Wait.class.getName();

    /** More than the largest body that anybody sends by mistake. */
    private static final int MOST_BYTES = 16 * 1024 * 1024;

    private final SlowSenders senders;

    BodyValve(SlowSenders senders) {
        super(true);
        this.senders = senders;
    }

    @Override
    public void invoke(Request request, Response response) throws IOException, ServletException {
        org.apache.coyote.Request received = request.getCoyoteRequest();
        if (received.isFinished()) {
            getNext().invoke(request, response);
            return;
        }
        try (SlowSenders.Wait wait = senders.newWait(received)) {
            request.setAttribute(WAIT, wait);
            getNext().invoke(request, response);
        }
        // Whoever asked first (Expect: 100-continue) and was refused sends no body.
        if (!request.isAsync() && !received.isFinished() && !received.hasExpectation()) {
            response.finishResponse();
            if (!drain(received)) {
                received.action(ActionCode.DISABLE_SWALLOW_INPUT, null);
            }
        }
    }

    /** On the connection itself: whoever read the stream may have closed it. */
    private boolean drain(org.apache.coyote.Request received) {
        try (SlowSenders.Wait wait = senders.newDrain(received)) {
            Discard discard = new Discard();
            long left = MOST_BYTES;
            while (left > 0) {
                wait.await();
                int count = received.doRead(discard);
                if (count < 0) {
                    return true;
                }
                left -= count;
            }
            return false;
        } catch (IOException e) {
            return false;
        }
    }

    /** Where Tomcat puts what was read. */
    private static final class Discard implements ApplicationBufferHandler {

        private ByteBuffer buffer = ByteBuffer.allocate(0);

        @Override
        public void setByteBuffer(ByteBuffer buffer) {
            this.buffer = buffer;
        }

        @Override
        public ByteBuffer getByteBuffer() {
            return buffer;
        }

        @Override
        public void expand(int size) {
            // Tomcat hands over a buffer of its own.
        }
    }
}
