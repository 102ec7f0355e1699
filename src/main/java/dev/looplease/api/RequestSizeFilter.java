package dev.looplease.api;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ReadListener;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletInputStream;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.web.filter.OncePerRequestFilter;

/** Stops reading a body that is larger or slower than any request needs; Tomcat bounds only forms. */
final class RequestSizeFilter extends OncePerRequestFilter {

    private final long mostBytes;
    private final ProblemWriter problems;

    RequestSizeFilter(long mostBytes, ProblemWriter problems) {
        this.mostBytes = mostBytes;
        this.problems = problems;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        if (request.getContentLengthLong() > mostBytes) {
            problems.write(request, response, new RequestTooLargeException(mostBytes));
        } else if (request.getAttribute(BodyValve.WAIT) instanceof SlowSenders.Wait wait) {
            chain.doFilter(new Bounded(request, wait), response);
        } else {
            chain.doFilter(request, response);
        }
    }

    /** A body whose bytes are counted, and whose time is taken, as it is read. */
    private final class Bounded extends HttpServletRequestWrapper {

        private final SlowSenders.Wait wait;

        Bounded(HttpServletRequest request, SlowSenders.Wait wait) {
            super(request);
            this.wait = wait;
        }

        @Override
        public ServletInputStream getInputStream() throws IOException {
            return new BoundedStream(super.getInputStream(), wait);
        }
    }

    private final class BoundedStream extends ServletInputStream {

        private final ServletInputStream in;
        private final SlowSenders.Wait wait;
        private long left = mostBytes;

        BoundedStream(ServletInputStream in, SlowSenders.Wait wait) {
            this.in = in;
            this.wait = wait;
        }

        @Override
        public int read() throws IOException {
            wait.await(in);
            int value = in.read();
            count(value < 0 ? 0 : 1);
            return value;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            wait.await(in);
            // No more than is there: else it would wait for the rest.
            int count = in.read(buffer, offset, Math.clamp(in.available(), Math.min(1, length), length));
            count(Math.max(0, count));
            return count;
        }

        private void count(int bytes) throws RequestTooLargeException {
            left -= bytes;
            if (left < 0) {
                throw new RequestTooLargeException(mostBytes);
            }
        }

        @Override
        public boolean isFinished() {
            return in.isFinished();
        }

        @Override
        public boolean isReady() {
            return in.isReady();
        }

        @Override
        public void setReadListener(ReadListener listener) {
            in.setReadListener(listener);
        }
    }
}
