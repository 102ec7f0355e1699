package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Reply;
import dev.looplease.acceptance.RawClient.Request;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.core.env.Environment;
import org.springframework.test.context.TestPropertySource;

/** What a web page could make a browser send: refused before anything is done, and without a word of CORS. */
@KernelTest
@TestPropertySource(
        properties = {
            "looplease.allowed-hosts=loop.example, Other.Example",
            "looplease.allowed-origins=https://dashboard.example",
            "spring.main.cloud-platform=kubernetes",
        })
class BrowserGuardTest extends HttpTest {

    @Autowired
    private Environment environment;

    private Reply send(String method, String path, @Nullable String body, String... headers) throws IOException {
        List<Header> all = new ArrayList<>();
        for (int i = 0; i < headers.length; i += 2) {
            all.add(new Header(headers[i], headers[i + 1]));
        }
        if (all.stream().noneMatch(header -> header.name().equals("Host"))) {
            all.add(new Header("Host", "127.0.0.1:" + port()));
        }
        if (!method.equals("OPTIONS")) {
            // A browser asks first whether it may, and says then who it is.
            all.add(new Header("Authorization", agent.authorization()));
        }
        try (RawClient client = new RawClient(port())) {
            return client.send(new Request(method, path, all, body));
        }
    }

    private int port() {
        return environment.getRequiredProperty("local.server.port", Integer.class);
    }

    private void refused(Reply reply, String type) {
        assertThat(reply.status()).isEqualTo(403);
        assertThat(reply.mediaType()).isEqualTo("application/problem+json");
        assertThat(Agent.parse(reply.body()).path("type").asString()).isEqualTo("/problems/" + type);
        assertThat(reply.headers())
                .noneMatch(header -> header.name().toLowerCase(Locale.ROOT).startsWith("access-control"));
        assertThat(agent.managed()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "evil.example",
                "evil.example:8080",
                "localhost.evil.example",
                "127.0.0.1.evil.example",
                "192.0.2.7",
                "[2001:db8::1]",
                "loop.example.evil.example"
            })
    void refusesAnotherName(String host) throws IOException {
        refused(send("POST", "/loop-devices", "{}", "Host", host, "Content-Type", "application/json"), "host-refused");
        refused(send("GET", "/loop-devices", null, "Host", host), "host-refused");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "localhost",
                "LOCALHOST:8080",
                "localhost.",
                "127.0.0.1",
                "127.8.9.10",
                "[::1]:8080",
                "loop.example",
                "other.example:443"
            })
    void knowsItsNames(String host) throws IOException {
        assertThat(send("GET", "/host", null, "Host", host).status()).isEqualTo(200);
    }

    @Test
    void knowsTheHostsOwnName() throws IOException {
        String name = Kernel.output("uname", "-n");

        assertThat(send("GET", "/host", null, "Host", name + ":8080").status()).isEqualTo(200);
    }

    /** The fault: in Kubernetes a page that made its name lead here only had to say that it was called by another. */
    @ParameterizedTest
    @ValueSource(strings = {"X-Forwarded-Host", "Forwarded", "X-Original-Host"})
    void refusesAnotherNameWhateverIsSaidToBeForwarded(String header) throws IOException {
        String value = header.equals("Forwarded") ? "host=localhost" : "localhost";

        refused(send("GET", "/host", null, "Host", "evil.example", header, value), "host-refused");
    }

    /** The request line wins over the header, so the header alone must not open the door. */
    @Test
    void refusesAnotherNameInTheRequestLine() throws IOException {
        Reply reply = send("GET", "http://evil.example/loop-devices", null, "Host", "localhost");

        assertThat(reply.status()).isIn(400, 403);
    }

    @Test
    void refusesAFormOfAnotherOrigin() throws IOException {
        refused(
                send(
                        "POST",
                        "/loop-devices",
                        "sizeMb=1",
                        "Origin",
                        "http://evil.example",
                        "Sec-Fetch-Site",
                        "cross-site",
                        "Sec-Fetch-Mode",
                        "navigate",
                        "Sec-Fetch-Dest",
                        "document",
                        "Content-Type",
                        "application/x-www-form-urlencoded"),
                "cross-site");
    }

    @ParameterizedTest
    @CsvSource({
        "Origin, http://evil.example",
        "Origin, null",
        "Origin, http://127.0.0.1:1", // another port is another origin
        "Origin, http://localhost", // another name is another origin
        "Origin, file://",
        "Origin, x y",
        "Sec-Fetch-Site, cross-site",
        "Sec-Fetch-Site, same-site",
    })
    void refusesAnotherSite(String header, String value) throws IOException {
        refused(send("POST", "/loop-devices", "{}", header, value, "Content-Type", "application/json"), "cross-site");
        refused(send("DELETE", "/leases/k3v9x0q2m7ad", null, header, value), "cross-site");
        refused(send("GET", "/loop-devices", null, header, value), "cross-site");
        refused(send("OPTIONS", "/loop-devices", null, header, value), "cross-site");
    }

    @Test
    void letsItsOwnPageIn() throws IOException {
        String own = "http://127.0.0.1:" + port();

        Reply reply = send(
                "POST",
                "/leases",
                "{\"ttlSeconds\": 1}",
                "Origin",
                own,
                "Sec-Fetch-Site",
                "same-origin",
                "Content-Type",
                "application/json");

        assertThat(reply.status()).isEqualTo(201);
        soon().until(() -> agent.items("/leases").isEmpty());
    }

    @Test
    void letsPeopleFollowALinkToIt() throws IOException {
        Reply reply = send(
                "GET",
                "/swagger-ui.html",
                null,
                "Sec-Fetch-Site",
                "cross-site",
                "Sec-Fetch-Mode",
                "navigate",
                "Sec-Fetch-Dest",
                "document");

        assertThat(reply.status()).isEqualTo(302);
    }

    @Test
    void letsAnOriginInThatTheOperatorNames() throws IOException {
        Reply preflight = send(
                "OPTIONS",
                "/loop-devices",
                null,
                "Origin",
                "https://dashboard.example",
                "Access-Control-Request-Method",
                "POST");

        assertThat(preflight.status()).isEqualTo(200);
        assertThat(preflight.header("Access-Control-Allow-Origin")).contains("https://dashboard.example");
    }
}
