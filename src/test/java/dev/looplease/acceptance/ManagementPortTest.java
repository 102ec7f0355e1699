package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.test.context.TestPropertySource;

/** What monitors look at, on a port of its own, is guarded as everything else is. */
@KernelTest
@ExtendWith(OutputCaptureExtension.class)
@TestPropertySource(properties = {"management.server.port=0", "management.server.address=127.0.0.1"})
class ManagementPortTest extends HttpTest {

    @Value("${local.management.port}")
    private int port;

    private Agent monitor;

    @BeforeEach
    void connectToo() {
        monitor = new Agent(port, agent.authorization().substring("Bearer ".length()));
    }

    @Test
    void hasWhatMonitorsLookAt() {
        created("sizeMb", 1);

        assertThat(monitor.get("/actuator/prometheus").expect(200).body())
                .contains("looplease_devices{state=\"READY\"} 1.0");
        monitor.get("/actuator/prometheus", "Accept", "").expect(200);
        assertThat(monitor.get("/actuator/health").expect(200).body()).contains("loopDevices", "freeBytes");
        assertThat(monitor.get("/actuator/info").expect(200).body()).contains("version");
    }

    @Test
    void needsAToken(CapturedOutput output) {
        assertThat(monitor.as(null).get("/actuator/health").expect(200).body())
                .contains("UP")
                .doesNotContain("components");
        for (String path : List.of(
                "/actuator",
                "/actuator/prometheus",
                "/actuator/info",
                "/actuator/health/loopDevices",
                "/loop-devices",
                "/nothing")) {
            monitor.as(null).get(path).refused(401, "unauthorized");
            monitor.as("guessed").get(path).refused(401, "unauthorized");
        }
        assertThat(output.getAll().lines().filter(line -> line.contains("audit") && line.contains("401")))
                .as("in the audit log")
                .hasSizeGreaterThanOrEqualTo(12);
    }

    @Test
    void hasNothingElseAndTheOthersAreNotElsewhere() {
        for (String path : List.of("/loop-devices", "/leases", "/host", "/v3/api-docs")) {
            assertThat(monitor.get(path).status()).as(path).isEqualTo(404);
        }
        agent.get("/actuator/prometheus").refused(404, "not-found");
        agent.get("/actuator/health").refused(404, "not-found");
        agent.get("/livez").expect(200);
    }

    /** The fault: who sent a byte now and then of a body that nobody wanted had a thread for as long as he liked. */
    @Test
    void sendersOfAByteASecondKeepNobodyOut() throws IOException {
        List<Socket> sockets = new ArrayList<>();
        afterwards(() -> {
            for (Socket socket : sockets) {
                socket.close();
            }
        });
        for (int i = 0; i < 300; i++) {
            Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
            sockets.add(socket);
            drip(socket, "POST /actuator/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n");
        }
        try (ScheduledExecutorService drip = Executors.newSingleThreadScheduledExecutor()) {
            Future<?> dripping = drip.scheduleAtFixedRate(
                    () -> sockets.forEach(socket -> drip(socket, "1")), 0, 1, TimeUnit.SECONDS);
            long begin = System.nanoTime();

            monitor.get("/actuator/health").expect(200);

            assertThat(Duration.ofNanos(System.nanoTime() - begin)).isLessThan(Duration.ofSeconds(8));
            dripping.cancel(true);
        }
    }

    private static void drip(Socket socket, String text) {
        try {
            socket.getOutputStream().write(text.getBytes(US_ASCII));
        } catch (IOException e) {
            // The agent has had enough of this one.
        }
    }

    /** The fault: the guard stood before the main port alone. */
    @Test
    void refusesWebPages() throws IOException {
        for (String path : List.of("/actuator/health", "/actuator/prometheus")) {
            monitor.get(path, "Origin", "http://evil.example").refused(403, "cross-site");
            monitor.get(path, "Sec-Fetch-Site", "cross-site").refused(403, "cross-site");
            assertThat(monitor.sendRaw("GET " + path + " HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
                            + "Authorization: " + agent.authorization() + "\r\n\r\n"))
                    .startsWith("HTTP/1.1 403")
                    .contains("/problems/host-refused");
        }
    }
}
