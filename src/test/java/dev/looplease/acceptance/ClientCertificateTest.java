package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/** Real TLS, with certificates on both sides: a client's says who it is, and the agent's is changed while it runs. */
class ClientCertificateTest {

    private static final String PASSWORD = "changeit";

    @TempDir
    private static Path directory;

    private static ConfigurableApplicationContext context;
    private static URI root;

    @BeforeAll
    static void start() {
        makeKey("server", "CN=localhost");
        makeKey("next", "CN=localhost");
        makeKey("client", "CN=build-7, O=Example");
        makeKey("expired", "CN=old-build");
        makeKey("stranger", "CN=stranger");
        makeKey("withdrawn", "CN=withdrawn");
        makeKey("nameless", "O=Example");
        makeKey("unsigned", "CN=build-7, O=Example");
        for (String known : new String[] {"client", "expired", "stranger", "nameless"}) {
            trust("clients", known);
        }
        // The one store with it; what comes in its place later is the same without.
        copy("clients", "fewer");
        trust("clients", "withdrawn");
        trust("servers", "server");
        trust("servers", "next");
        Path tokens = Tokens.write(directory, """
                - {name: builder, role: user, certificate: build-7}
                - {name: gone, role: user, certificate: withdrawn}
                - {name: old, role: user, certificate: old-build, expires: 2026-01-01T00:00:00Z}
                """);
        context = SpringApplication.run(
                LoopleaseApplication.class,
                "--server.port=0",
                "--looplease.state-dir=" + directory.resolve("state"),
                "--looplease.tokens-file=" + tokens,
                "--server.ssl.bundle=agent",
                "--server.ssl.client-auth=want",
                "--spring.ssl.bundle.watch.file.quiet-period=200ms",
                "--spring.ssl.bundle.jks.agent.reload-on-update=true",
                "--spring.ssl.bundle.jks.agent.keystore.location=" + store("server"),
                "--spring.ssl.bundle.jks.agent.keystore.password=" + PASSWORD,
                "--spring.ssl.bundle.jks.agent.truststore.location=" + store("clients"),
                "--spring.ssl.bundle.jks.agent.truststore.password=" + PASSWORD);
        root = URI.create("https://localhost:" + context.getEnvironment().getRequiredProperty("local.server.port"));
    }

    @AfterAll
    static void stop() {
        context.close();
    }

    private static Path store(String name) {
        return directory.resolve(name + ".p12");
    }

    private static void copy(String from, String to) {
        try {
            Files.copy(store(from), store(to));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Puts another store in the place of one that the agent watches, at once. */
    private static void replace(String name, String by) throws IOException {
        Path draft = Files.copy(store(by), directory.resolve("draft"));
        Files.move(draft, store(name), StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }

    private static void makeKey(String name, String subject) {
        keytool(
                "-genkeypair",
                "-keystore",
                store(name).toString(),
                "-alias",
                name,
                "-keyalg",
                "EC",
                "-dname",
                subject,
                "-ext",
                "SAN=dns:localhost,ip:127.0.0.1",
                "-validity",
                "2");
        keytool(
                "-exportcert",
                "-keystore",
                store(name).toString(),
                "-alias",
                name,
                "-file",
                directory.resolve(name + ".crt").toString());
    }

    private static void trust(String who, String name) {
        keytool(
                "-importcert",
                "-noprompt",
                "-keystore",
                store(who).toString(),
                "-alias",
                name,
                "-file",
                directory.resolve(name + ".crt").toString());
    }

    private static void keytool(String... arguments) {
        String[] command = new String[arguments.length + 5];
        command[0] = Path.of(System.getProperty("java.home"), "bin", "keytool").toString();
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        System.arraycopy(
                new String[] {"-storetype", "PKCS12", "-storepass", PASSWORD}, 0, command, arguments.length + 1, 4);
        Kernel.output(command);
    }

    private static KeyStore load(String name) throws IOException, GeneralSecurityException {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        try (InputStream in = Files.newInputStream(store(name))) {
            keys.load(in, PASSWORD.toCharArray());
        }
        return keys;
    }

    /** A client with that certificate; null for none. A new connection each time. */
    private static HttpResponse<String> send(@Nullable String certificate, String method, String... headers)
            throws Exception {
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(load("servers"));
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        if (certificate != null) {
            keys.init(load(certificate), PASSWORD.toCharArray());
        } else {
            keys.init(null, null);
        }
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        try (HttpClient client = HttpClient.newBuilder().sslContext(tls).build()) {
            HttpRequest.Builder request = HttpRequest.newBuilder(root.resolve("/leases"))
                    .header("Content-Type", "application/json")
                    .method(method, method.equals("GET") ? BodyPublishers.noBody() : BodyPublishers.ofString("{}"));
            for (int i = 0; i < headers.length; i += 2) {
                request.header(headers[i], headers[i + 1]);
            }
            return client.send(request.build(), BodyHandlers.ofString());
        }
    }

    @Test
    void aCertificateThatIsListedSaysWhoItIs() throws Exception {
        HttpResponse<String> lease = send("client", "POST");

        assertThat(lease.statusCode()).as(lease.body()).isEqualTo(201);
        assertThat(Agent.parse(lease.body()).path("owner").asString()).isEqualTo("builder");
    }

    @Test
    void aTokenComesFirst() throws Exception {
        HttpResponse<String> lease = send("client", "POST", "Authorization", "Bearer " + Tokens.ALICE);

        assertThat(Agent.parse(lease.body()).path("owner").asString()).isEqualTo("alice");
        assertThat(send("client", "GET", "Authorization", "Bearer " + Tokens.UNKNOWN)
                        .statusCode())
                .isEqualTo(401);
    }

    @Test
    void anyOtherSaysNothing() throws Exception {
        assertThat(send(null, "GET").statusCode()).isEqualTo(401);
        assertThat(send("stranger", "GET").statusCode()).isEqualTo(401);
        // The fault: 500.
        assertThat(send("nameless", "GET").statusCode()).isEqualTo(401);
        assertThat(send("expired", "GET").statusCode()).isEqualTo(401);
        assertThat(send("expired", "GET").body()).contains("expired");
    }

    /** Anybody can put another's name into a certificate of his own. */
    @Test
    void oneThatNobodyTrustsDoesNotGetThatFar() {
        assertThat(catchThrowable(() -> {
                    HttpResponse<String> answer = send("unsigned", "GET");
                    assertThat(answer.statusCode()).isEqualTo(401);
                    throw new IOException("refused");
                }))
                .isInstanceOf(IOException.class);
    }

    @Test
    void whoIsTrustedNoMoreIsRefusedWithoutARestart() throws Exception {
        assertThat(send("withdrawn", "GET").statusCode()).isEqualTo(200);

        replace("clients", "fewer");

        HttpTest.soon().until(() -> refused("withdrawn"));
        assertThat(send("client", "GET").statusCode()).isEqualTo(200);
    }

    /** By TLS, or by the agent where it asks for no certificate that it would not trust. */
    private static boolean refused(String certificate) throws Exception {
        try {
            return send(certificate, "GET").statusCode() == 401;
        } catch (IOException e) {
            return true;
        }
    }

    @Test
    void aNewCertificateOfTheAgentsIsShownWithoutARestart() throws Exception {
        X509Certificate next = (X509Certificate) load("next").getCertificate("next");
        replace("server", "next");

        HttpTest.soon()
                .until(() -> send("client", "GET")
                        .sslSession()
                        .orElseThrow()
                        .getPeerCertificates()[0]
                        .equals(next));

        assertThat(send("client", "GET").statusCode()).isEqualTo(200);
    }
}
