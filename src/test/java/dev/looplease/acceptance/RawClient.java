package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** An HTTP client that sends whatever it is told to, right or wrong, and reads the answer. One connection, kept. */
final class RawClient implements AutoCloseable {

    private static final int PATIENCE_MILLIS = 30_000;

    /**
     * What is sent. Texts are sent as they are, a char a byte.
     *
     * @param body null for none; its length is told unless the headers speak of it
     */
    record Request(
            String method,
            String target,
            List<Header> headers,
            @Nullable String body) {

        byte[] bytes() {
            StringBuilder head = new StringBuilder(method + " " + target + " HTTP/1.1\r\n");
            headers.forEach(header -> head.append(header.name() + ": " + header.value() + "\r\n"));
            if (body != null && headers.stream().noneMatch(Header::framesTheBody)) {
                head.append("Content-Length: ").append(body.length()).append("\r\n");
            }
            head.append("\r\n").append(body == null ? "" : body);
            return head.toString().getBytes(ISO_8859_1);
        }
    }

    /** Of a request or an answer. */
    record Header(String name, String value) {
        boolean framesTheBody() {
            return name.equalsIgnoreCase("Content-Length") || name.equalsIgnoreCase("Transfer-Encoding");
        }
    }

    /**
     * What came back.
     *
     * @param body as UTF-8; that of a stream without an end is left alone
     */
    record Reply(int status, List<Header> headers, String body) {

        Optional<String> header(String name) {
            return headers.stream()
                    .filter(header -> header.name().equalsIgnoreCase(name))
                    .map(Header::value)
                    .findFirst();
        }

        /** Without its parameters; empty without a body. */
        String mediaType() {
            return header("Content-Type")
                    .map(type -> type.split(";", 2)[0].strip().toLowerCase(Locale.ROOT))
                    .orElse("");
        }

        boolean isEndless() {
            return mediaType().equals("text/event-stream");
        }

        boolean closes() {
            return header("Connection").filter("close"::equalsIgnoreCase).isPresent() || isEndless();
        }
    }

    private final int port;
    private @Nullable Socket socket;
    private @Nullable InputStream in;

    RawClient(int port) {
        this.port = port;
    }

    /** Sends a request, on the connection of the one before if the agent left that open. */
    Reply send(Request request) throws IOException {
        boolean kept = socket != null;
        try {
            return exchange(request);
        } catch (IOException e) {
            close();
            if (!kept) {
                throw e;
            }
            // The agent may close an idle connection just when the next request is on its way.
            return exchange(request);
        }
    }

    private Reply exchange(Request request) throws IOException {
        if (socket == null) {
            socket = new Socket(InetAddress.getLoopbackAddress(), port);
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(PATIENCE_MILLIS);
            in = new BufferedInputStream(socket.getInputStream());
        }
        socket.getOutputStream().write(request.bytes());
        Reply reply = read(request.method());
        if (reply.closes()) {
            close();
        }
        return reply;
    }

    private Reply read(String method) throws IOException {
        while (true) {
            String[] status = line().split(" ", 3);
            int code = Integer.parseInt(status[1]);
            List<Header> headers = headers();
            if (code >= 200) {
                Reply head = new Reply(code, headers, "");
                return new Reply(code, headers, body(method, head));
            }
        }
    }

    private List<Header> headers() throws IOException {
        List<Header> headers = new ArrayList<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            headers.add(new Header(
                    line.substring(0, colon), line.substring(colon + 1).strip()));
        }
        return headers;
    }

    private String body(String method, Reply head) throws IOException {
        if (method.equals("HEAD") || head.status() == 204 || head.status() == 304 || head.isEndless()) {
            return "";
        }
        if (head.header("Transfer-Encoding").filter("chunked"::equalsIgnoreCase).isPresent()) {
            ByteArrayOutputStream body = new ByteArrayOutputStream();
            for (int size = chunkSize(); size > 0; size = chunkSize()) {
                body.writeBytes(exactly(size));
                line();
            }
            headers();
            return body.toString(UTF_8);
        }
        Optional<String> length = head.header("Content-Length");
        if (length.isPresent()) {
            return new String(exactly(Integer.parseInt(length.get())), UTF_8);
        }
        byte[] rest = stream().readAllBytes();
        close();
        return new String(rest, UTF_8);
    }

    private int chunkSize() throws IOException {
        return Integer.parseInt(line().split(";", 2)[0], 16);
    }

    private byte[] exactly(int length) throws IOException {
        byte[] bytes = stream().readNBytes(length);
        if (bytes.length < length) {
            throw new EOFException("the answer's body ended early");
        }
        return bytes;
    }

    private String line() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        while (true) {
            int next = stream().read();
            if (next < 0) {
                throw new EOFException("the connection ended before the answer");
            }
            if (next == '\n') {
                return line.toString(ISO_8859_1).replaceFirst("\r$", "");
            }
            line.write(next);
        }
    }

    private InputStream stream() {
        if (in == null) {
            throw new IllegalStateException("not connected");
        }
        return in;
    }

    @Override
    public void close() throws IOException {
        Socket open = socket;
        socket = null;
        if (open != null) {
            open.close();
        }
    }
}
