package dev.looplease.benchmark;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import org.jspecify.annotations.Nullable;

/**
 * One kept connection to the agent, as lean as can be: what a benchmark shows shall be the agent's time. Not safe for
 * more than one thread.
 */
final class Client implements Closeable {

    private final Socket socket;
    private final InputStream in;
    private final OutputStream out;
    private final String headers;
    private final byte[] buffer = new byte[1 << 16];
    private int from;
    private int to;
    private int status;
    private byte[] body = new byte[0];

    /** @param token null where the agent asks for none */
    Client(int port, @Nullable String token) throws IOException {
        socket = new Socket(InetAddress.getLoopbackAddress(), port);
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(120_000);
        in = socket.getInputStream();
        out = socket.getOutputStream();
        headers = " HTTP/1.1\r\nHost: localhost:" + port
                + (token == null ? "" : "\r\nAuthorization: Bearer " + token)
                + "\r\nAccept: application/json\r\n";
    }

    /** Sends a request and reads the whole answer. */
    Client send(String method, String path, @Nullable String json) throws IOException {
        String content = json == null
                ? (method.equals("POST") ? "Content-Length: 0\r\n\r\n" : "\r\n")
                : "Content-Type: application/json\r\nContent-Length: " + json.length() + "\r\n\r\n" + json;
        out.write((method + " " + path + headers + content).getBytes(ISO_8859_1));
        read();
        return this;
    }

    /** The same, and throws where the status is another one. */
    Client expect(int wanted, String method, String path, @Nullable String json) throws IOException {
        send(method, path, json);
        if (status != wanted) {
            throw new IOException(method + " " + path + ": " + status + " " + body());
        }
        return this;
    }

    int status() {
        return status;
    }

    String body() {
        return new String(body, ISO_8859_1);
    }

    int bodyBytes() {
        return body.length;
    }

    /** The first text of that name in the answer. */
    String text(String name) throws IOException {
        return text(name, 0);
    }

    /** The first text of that name behind the field {@code after}. */
    String textAfter(String after, String name) throws IOException {
        return text(name, body().indexOf("\"" + after + "\":"));
    }

    private String text(String name, int begin) throws IOException {
        String all = body();
        String start = "\"" + name + "\":\"";
        int at = all.indexOf(start, Math.max(0, begin));
        if (at < 0) {
            throw new IOException("no " + name + " in " + all);
        }
        return all.substring(at + start.length(), all.indexOf('"', at + start.length()));
    }

    private void read() throws IOException {
        status = Integer.parseInt(line().substring(9, 12));
        int length = status == 204 || status == 304 ? 0 : -1;
        boolean chunked = false;
        for (String line = line(); !line.isEmpty(); line = line()) {
            if (line.regionMatches(true, 0, "content-length:", 0, 15)) {
                length = Integer.parseInt(line.substring(15).strip());
            } else if (line.regionMatches(true, 0, "transfer-encoding:", 0, 18)) {
                chunked = true;
            }
        }
        if (chunked) {
            var all = new ByteArrayOutputStream();
            for (int size = chunk(); size > 0; size = chunk()) {
                all.write(bytes(size));
                line();
            }
            line();
            body = all.toByteArray();
        } else {
            body = bytes(Math.max(0, length));
        }
    }

    private int chunk() throws IOException {
        return Integer.parseInt(line(), 16);
    }

    private String line() throws IOException {
        var text = new StringBuilder(64);
        while (true) {
            int c = next();
            if (c == '\n') {
                text.setLength(text.length() - 1);
                return text.toString();
            }
            text.append((char) c);
        }
    }

    private int next() throws IOException {
        if (from == to) {
            fill();
        }
        return buffer[from++] & 0xff;
    }

    private void fill() throws IOException {
        int count = in.read(buffer);
        if (count < 0) {
            throw new EOFException("the agent closed the connection");
        }
        from = 0;
        to = count;
    }

    private byte[] bytes(int count) throws IOException {
        byte[] all = new byte[count];
        for (int done = 0; done < count; ) {
            if (from == to) {
                fill();
            }
            int part = Math.min(count - done, to - from);
            System.arraycopy(buffer, from, all, done, part);
            from += part;
            done += part;
        }
        return all;
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
