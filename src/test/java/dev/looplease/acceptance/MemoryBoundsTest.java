package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** An agent with the memory that it is shipped with, of which as many strangers as can connect take what they can. */
@KernelTest
class MemoryBoundsTest extends AgentProcessTest {

    private static final Map<String, String> AS_SHIPPED =
            Map.of("JDK_JAVA_OPTIONS", "@packaging/java.options -Dspring.aot.enabled=false");

    private static final int CONNECTIONS = 7_500;
    private static final int TLS_CONNECTIONS = 4_500;

    private final List<Socket> sockets = new ArrayList<>();

    @AfterEach
    void closeSockets() throws IOException {
        for (Socket socket : sockets) {
            socket.close();
        }
    }

    private Socket connected(Agent agent) throws IOException {
        Socket socket = new Socket();
        sockets.add(socket);
        socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), agent.port()), 2_000);
        return socket;
    }

    private static void sendIfItListens(Socket socket, byte[] bytes) {
        try {
            socket.getOutputStream().write(bytes);
        } catch (IOException e) {
            // The agent has closed it.
        }
    }

    /** The fault: it ended for want of memory. Half a head takes what its buffers do, and more with each field. */
    @Test
    void servesBesideHalfHeads() throws IOException {
        Agent agent = tracked(AgentProcess.start(home, AS_SHIPPED)).serving();
        byte[] half =
                ("GET /host HTTP/1.1\r\nHost: localhost\r\n" + "a: 1\r\n".repeat(97) + "X-Slow: ").getBytes(US_ASCII);

        for (int i = 0; i < CONNECTIONS; i++) {
            connected(agent);
        }
        agent.get("/host").expect(200);
        sockets.forEach(socket -> sendIfItListens(socket, half));

        agent.get("/host").expect(200);
        agent.delete(agent.create("sizeMb", 1).expect(201).id()).expect(204);
    }

    /** The fault: the same, of half as many; TLS has buffers of its own for each. */
    @Test
    void livesThroughHalfHandshakes() throws Exception {
        Path keys = home.resolve("keys.p12");
        Kernel.output(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-keystore",
                keys.toString(),
                "-storepass",
                "changeit",
                "-keyalg",
                "EC",
                "-dname",
                "CN=localhost",
                "-ext",
                "SAN=dns:localhost,ip:127.0.0.1");
        SSLContext tls = trusting(keys);
        AgentProcess process = tracked(AgentProcess.start(
                home, AS_SHIPPED, "--server.ssl.key-store=" + keys, "--server.ssl.key-store-password=changeit"));
        Agent agent = process.listening();
        byte[] hello = hello(tls);

        try {
            for (int i = 0; i < TLS_CONNECTIONS; i++) {
                sendIfItListens(connected(agent), hello);
            }
        } catch (SocketTimeoutException e) {
            // It has as many as it takes.
        }
        closeSockets();

        try (Socket socket = tls.getSocketFactory().createSocket(InetAddress.getLoopbackAddress(), agent.port())) {
            socket.setSoTimeout(30_000);
            socket.getOutputStream().write("GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n".getBytes(US_ASCII));
            assertThat(new String(socket.getInputStream().readAllBytes(), US_ASCII))
                    .startsWith("HTTP/1.1 200");
        }
    }

    private static SSLContext trusting(Path keys) throws IOException, GeneralSecurityException {
        KeyStore known = KeyStore.getInstance(keys.toFile(), "changeit".toCharArray());
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("agent", known.getCertificate("mykey"));
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        return tls;
    }

    /** The first thing that a client says. */
    private static byte[] hello(SSLContext tls) throws IOException {
        SSLEngine engine = tls.createSSLEngine("localhost", 443);
        engine.setUseClientMode(true);
        ByteBuffer out = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
        engine.wrap(ByteBuffer.allocate(0), out);
        return Arrays.copyOf(out.array(), out.position());
    }
}
