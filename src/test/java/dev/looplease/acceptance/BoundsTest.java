package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Reply;
import dev.looplease.acceptance.RawClient.Request;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.core.env.Environment;

/** Whoever sends nothing, slowly, or too much: an honest client gets its answers meanwhile. */
@KernelTest
class BoundsTest extends HttpTest {

    /** More than Tomcat has threads. */
    private static final int SLOW_SENDERS = 300;

    private static final int IDLE_CONNECTIONS = 5_000;

    private final List<Socket> sockets = new ArrayList<>();

    @Autowired
    private Environment environment;

    private int port() {
        return environment.getRequiredProperty("local.server.port", Integer.class);
    }

    private Socket newSocket() throws IOException {
        if (sockets.isEmpty()) {
            afterwards(() -> {
                for (Socket socket : sockets) {
                    socket.close();
                }
            });
        }
        Socket socket = new Socket(InetAddress.getLoopbackAddress(), port());
        sockets.add(socket);
        return socket;
    }

    /** Makes, looks and deletes; returns how long that took. */
    private Duration honestWork() {
        long begin = System.nanoTime();
        Answer device = created("sizeMb", 1);
        agent.device(device.id()).expect(200);
        agent.delete(device.id()).expect(204);
        return Duration.ofNanos(System.nanoTime() - begin);
    }

    @Test
    void idleConnectionsKeepNobodyOut() throws IOException {
        for (int i = 0; i < IDLE_CONNECTIONS; i++) {
            newSocket();
        }

        assertThat(honestWork()).isLessThan(Duration.ofSeconds(5));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                // The body is wanted.
                "POST /loop-devices HTTP/1.1|Host: localhost|Authorization: TOKEN|Content-Type: application/json|Content-Length: 999||{",
                "POST /leases HTTP/1.1|Host: localhost|Authorization: TOKEN|Content-Type: application/json|Transfer-Encoding: chunked||",
                "POST /loop-devices/neverknown000000/attach HTTP/1.1|Host: localhost|Authorization: TOKEN|Content-Length: 999||{",
                // It is not, and what is left of it is read after the answer.
                "POST /nowhere HTTP/1.1|Host: localhost|Content-Length: 999||{",
                "POST /nowhere HTTP/1.1|Host: localhost|Authorization: TOKEN|Content-Length: 999||{",
                "POST /loop-devices HTTP/1.1|Host: evil.example|Content-Length: 999||{",
                // No header ends.
                "GET /host HTTP/1.1|Host: localhost|X-Slow: ",
            })
    void sendersOfAByteASecondKeepNobodyOut(String beginning) throws IOException {
        for (int i = 0; i < SLOW_SENDERS; i++) {
            write(newSocket(), beginning);
        }
        try (ScheduledExecutorService drip = Executors.newSingleThreadScheduledExecutor()) {
            Future<?> dripping = drip.scheduleAtFixedRate(this::dripEverywhere, 0, 1, TimeUnit.SECONDS);

            assertThat(honestWork()).isLessThan(Duration.ofSeconds(8));
            assertThat(honestWork()).isLessThan(Duration.ofSeconds(8));
            dripping.cancel(true);
        }
    }

    /** The fault: each kept one of the places for whoever must be waited for, and a body in chunks found none. */
    @Test
    void whoIsRefusedKeepsNobodyOut() throws IOException {
        for (int i = 0; i < 64; i++) {
            Socket socket = newSocket();
            write(socket, "POST /nowhere HTTP/1.1|Host: localhost|Content-Length: 999||");
            assertThat(socket.getInputStream().read()).as("its answer").isEqualTo('H');
        }

        Reply reply = send(List.of(new Header("Transfer-Encoding", "chunked")), "d\r\n{\"sizeMb\": 1}\r\n0\r\n\r\n");

        assertThat(reply.status()).as(reply.body()).isEqualTo(201);
    }

    private void write(Socket socket, String request) throws IOException {
        String text = request.replace("|", "\r\n").replace("TOKEN", agent.authorization());
        socket.getOutputStream().write(text.getBytes(US_ASCII));
    }

    private void dripEverywhere() {
        for (Socket socket : sockets) {
            try {
                socket.getOutputStream().write('1');
            } catch (IOException e) {
                // The agent has had enough of this one.
            }
        }
    }

    @Test
    void tellsASlowSenderThatItTookTooLong() throws IOException {
        Socket socket = newSocket();
        socket.setSoTimeout(30_000);
        write(
                socket,
                "POST /loop-devices HTTP/1.1|Host: localhost|Authorization: TOKEN|Content-Type: application/json|Content-Length: 999||{");

        String answer = new String(socket.getInputStream().readAllBytes(), UTF_8);

        assertThat(answer).startsWith("HTTP/1.1 408").contains("/problems/request-timeout");
    }

    private Reply send(List<Header> headers, String body) throws IOException {
        List<Header> all = new ArrayList<>(headers);
        all.add(new Header("Host", "localhost"));
        all.add(new Header("Authorization", agent.authorization()));
        all.add(new Header("Content-Type", "application/json"));
        try (RawClient client = new RawClient(port())) {
            return client.send(new Request("POST", "/loop-devices", all, body));
        }
    }

    /** Of a megabyte of nothings would become a list that takes thirty. */
    @Test
    void refusesABodyOfTooManyValues() {
        String body = "{\"devices\": [" + "{},".repeat(MIB / 3 - 10) + "{}]}";

        assertThat(agent.send("POST", "/leases", body)
                        .refused(400, "invalid-request")
                        .body())
                .contains("one value too many");
    }

    /** The last one is refused, so all were read. */
    @Test
    void readsAsManyDevicesAsThereMayBe() {
        String device =
                "{\"sizeMb\":1,\"partScan\":true,\"offsetBytes\":0,\"directIo\":\"OFF\",\"sectorSize\":512,\"labels\":{\"a\":\"b\"}}";
        String body = "{\"devices\": [" + (device + ",").repeat(9_999) + "{\"sizeMb\": 0}]}";

        assertThat(agent.send("POST", "/leases", body)
                        .refused(400, "invalid-request")
                        .body())
                .contains("devices[9999]");
    }

    @Test
    void unpacksNothing() throws IOException {
        ByteArrayOutputStream bomb = new ByteArrayOutputStream();
        try (GZIPOutputStream zip = new GZIPOutputStream(bomb)) {
            zip.write("{\"sizeMb\": 1, \"labels\": {\"a\": \"".getBytes(UTF_8));
            byte[] megabyte = "a".repeat(MIB).getBytes(UTF_8);
            for (int i = 0; i < 200; i++) {
                zip.write(megabyte);
            }
        }

        Reply reply = send(List.of(new Header("Content-Encoding", "gzip")), bomb.toString(StandardCharsets.ISO_8859_1));

        assertThat(reply.status()).isEqualTo(415);
        assertThat(reply.body()).contains("Content-Encoding");
        assertThat(agent.managed()).isEmpty();
    }

    @Test
    void takesABodyThatSaysItIsNotPacked() throws IOException {
        assertThat(send(List.of(new Header("Content-Encoding", "Identity")), "{\"sizeMb\": 1}")
                        .status())
                .isEqualTo(201);
    }

    @Test
    void refusesACodingOfTheTransferThatItDoesNotKnow() throws IOException {
        Reply reply = send(List.of(new Header("Transfer-Encoding", "gzip")), "{}");

        assertThat(reply.status()).isEqualTo(501);
        assertThat(reply.body()).contains("/problems/not-implemented");
    }

    @Test
    void refusesTooManyHeaders() throws IOException {
        List<Header> headers = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            headers.add(new Header("X-" + i, "1"));
        }

        assertThat(send(headers, "{}").status()).isEqualTo(400);
        assertThat(agent.managed()).isEmpty();
    }

    @Test
    void refusesTooLongHeaders() throws IOException {
        assertThat(send(List.of(new Header("X-Long", "x".repeat(20_000))), "{}").status())
                .isEqualTo(400);
        assertThat(agent.managed()).isEmpty();
    }
}
