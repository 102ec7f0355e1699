package dev.looplease.api;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.threads.ThreadPoolExecutor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With so long a look-out that whoever waits for its end is seen to wait. */
@Timeout(60)
class PromptHttpProtocolTest {

    private static final Duration LOOK_OUT = Duration.ofMinutes(5);

    private static final String HALF = "GET / HTTP/1.1\r\nHo";
    private static final String REST = "st: localhost\r\n\r\n";

    @TempDir
    private Path directory;

    private final Tomcat tomcat = new Tomcat();
    private final PromptHttpProtocol protocol = new PromptHttpProtocol(LOOK_OUT);

    @BeforeEach
    void start() throws LifecycleException {
        tomcat.setBaseDir(directory.toString());
        Connector connector = new Connector(protocol);
        connector.setPort(0);
        tomcat.setConnector(connector);
        var context = tomcat.addContext("", directory.toString());
        Tomcat.addServlet(context, "thread", new WhichThread()).addMapping("/");
        tomcat.start();
    }

    @AfterEach
    void stop() throws LifecycleException {
        tomcat.stop();
        tomcat.destroy();
    }

    private static final class WhichThread extends HttpServlet {

        private static final long serialVersionUID = 1L;

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            byte[] name = Thread.currentThread().getName().getBytes(ISO_8859_1);
            response.setContentLength(name.length);
            response.getOutputStream().write(name);
        }
    }

    /** A connection that is kept. */
    private final class Client implements AutoCloseable {

        private final Socket socket;
        private final BufferedReader in;

        Client() throws IOException {
            socket = new Socket(InetAddress.getLoopbackAddress(), protocol.getLocalPort());
            in = new BufferedReader(new InputStreamReader(socket.getInputStream(), ISO_8859_1));
        }

        void send(String requests) throws IOException {
            socket.getOutputStream().write(requests.getBytes(ISO_8859_1));
        }

        /** The name of the thread that answered. */
        String answer() throws IOException {
            int length = 0;
            for (String line = in.readLine(); !line.isEmpty(); line = in.readLine()) {
                if (line.startsWith("Content-Length: ")) {
                    length = Integer.parseInt(line.substring("Content-Length: ".length()));
                }
            }
            char[] name = new char[length];
            for (int read = 0; read < length; ) {
                read += in.read(name, read, length - read);
            }
            return new String(name);
        }

        String ask() throws IOException {
            send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
            return answer();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    private int busyThreads() {
        return ((ThreadPoolExecutor) protocol.getExecutor()).getActiveCount();
    }

    @Test
    void theThreadThatAnsweredAnswersWhoAsksAgain() throws IOException {
        Set<String> threads = new HashSet<>();
        try (Client client = new Client()) {
            for (int i = 0; i < 20; i++) {
                threads.add(client.ask());
            }
        }
        assertThat(threads).hasSize(1);
    }

    @Test
    void severalRequestsInOnePacketAreAnsweredInTurn() throws IOException {
        try (Client client = new Client()) {
            client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3) + "GET / HTTP/1.1\r\nHo");
            Set<String> threads = Set.of(client.answer());
            assertThat(client.answer()).isIn(threads);
            assertThat(client.answer()).isIn(threads);
            client.send("st: localhost\r\n\r\n");
            assertThat(client.answer()).isNotEmpty();
        }
    }

    @Test
    void aFewMayHaveHalfAHeadAndOthersAreClosed() throws IOException {
        protocol.setMaxConnections(8);
        try (Client first = new Client();
                Client second = new Client()) {
            first.send(HALF);
            second.send(HALF);
            await().until(this::isClosedWithHalfAHead);

            try (Client whole = new Client()) {
                assertThat(whole.ask()).isNotEmpty();
            }
            first.send(REST);
            assertThat(first.answer()).isNotEmpty();
        }
        await().until(() -> !isClosedWithHalfAHead());
    }

    private boolean isClosedWithHalfAHead() throws IOException {
        try (Client client = new Client()) {
            client.socket.setSoTimeout(200);
            client.send(HALF);
            return client.in.read() < 0;
        } catch (SocketTimeoutException e) {
            return false;
        }
    }

    @Test
    void itLooksNoLongerOnceSomebodyElseAsks() throws IOException {
        try (Client first = new Client();
                Client second = new Client()) {
            String thread = first.ask();
            assertThat(busyThreads()).isEqualTo(1);

            assertThat(second.ask()).isNotEqualTo(thread);

            // The second one is looked out for now; the first connection is the poller's, and loses nothing by that.
            await().until(() -> busyThreads() <= 1);
            assertThat(first.ask()).isNotEmpty();
            assertThat(second.ask()).isNotEmpty();
        }
    }

    @Test
    void itLooksNoLongerOnceTheClientIsGone() throws IOException {
        try (Client client = new Client()) {
            client.ask();
            assertThat(busyThreads()).isEqualTo(1);
        }
        await().until(() -> busyThreads() == 0);
    }

    @Test
    void itLooksNoLongerOnceTheAgentStops() throws IOException {
        try (Client client = new Client()) {
            client.ask();
            assertThat(busyThreads()).isEqualTo(1);

            tomcat.getConnector().pause();

            await().until(() -> busyThreads() == 0);
        }
    }
}
