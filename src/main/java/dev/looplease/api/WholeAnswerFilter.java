package dev.looplease.api;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletOutputStream;
import jakarta.servlet.WriteListener;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpServletResponseWrapper;
import java.io.IOException;

/**
 * Sends a short JSON answer in one piece. Spring flushes each, before Tomcat can know that it is complete: it would go out
 * in chunks, and the last, empty one would cost a second packet and a second wait of the client.
 */
final class WholeAnswerFilter extends HttpFilter {

    private static final long serialVersionUID = 1L;

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        chain.doFilter(request, new Whole(response));
    }

    /** Leaves it to Tomcat when to send: when the buffer is full, and at the end. What is no JSON may be a stream. */
    private static final class Whole extends HttpServletResponseWrapper {

        Whole(HttpServletResponse response) {
            super(response);
        }

        private boolean mayWait() {
            String type = getContentType();
            return type != null && (type.startsWith("application/json") || type.startsWith("application/problem+json"));
        }

        @Override
        public void flushBuffer() throws IOException {
            if (!mayWait()) {
                super.flushBuffer();
            }
        }

        @Override
        public ServletOutputStream getOutputStream() throws IOException {
            return new Unflushed(super.getOutputStream());
        }

        private final class Unflushed extends ServletOutputStream {

            private final ServletOutputStream out;

            Unflushed(ServletOutputStream out) {
                this.out = out;
            }

            @Override
            public void flush() throws IOException {
                if (!mayWait()) {
                    out.flush();
                }
            }

            @Override
            public void write(int b) throws IOException {
                out.write(b);
            }

            @Override
            public void write(byte[] bytes, int offset, int length) throws IOException {
                out.write(bytes, offset, length);
            }

            @Override
            public void close() throws IOException {
                out.close();
            }

            @Override
            public boolean isReady() {
                return out.isReady();
            }

            @Override
            public void setWriteListener(WriteListener listener) {
                out.setWriteListener(listener);
            }
        }
    }
}
