package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.RSASSASigner;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.PlainJWT;
import com.nimbusds.jwt.SignedJWT;
import com.sun.net.httpserver.HttpServer;
import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/** Tokens that an identity provider signs count beside those of the file, by configuration alone. */
class JwtTest {

    @TempDir
    private static Path directory;

    private static RSAKey key;
    private static RSAKey strangersKey;
    private static HttpServer provider;
    private static ConfigurableApplicationContext context;
    private static Agent agent;

    @BeforeAll
    static void start() throws IOException, JOSEException {
        key = new RSAKeyGenerator(2048).keyID("one").generate();
        strangersKey = new RSAKeyGenerator(2048).keyID("one").generate();
        byte[] keys = new JWKSet(key.toPublicJWK()).toString().getBytes(UTF_8);
        provider = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        provider.createContext("/keys", exchange -> {
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, keys.length);
            exchange.getResponseBody().write(keys);
            exchange.close();
        });
        provider.start();
        context = start("/keys", directory.resolve("state"), "--looplease.tokens-file=" + Tokens.write(directory));
        agent = agentOf(context);
    }

    private static ConfigurableApplicationContext start(String path, Path state, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "--server.port=0",
                "--looplease.state-dir=" + state,
                "--looplease.jwt.role-claim=realm_access.roles",
                "--spring.security.oauth2.resourceserver.jwt.jwk-set-uri=http://127.0.0.1:"
                        + provider.getAddress().getPort() + path));
        arguments.addAll(List.of(more));
        return SpringApplication.run(LoopleaseApplication.class, arguments.toArray(String[]::new));
    }

    private static Agent agentOf(ConfigurableApplicationContext context) {
        Agent agent = new Agent(context.getEnvironment().getRequiredProperty("local.server.port", Integer.class), null);
        HttpTest.soon().until(() -> agent.get("/readyz").status() != 503);
        return agent;
    }

    @AfterAll
    static void stop() {
        context.close();
        provider.stop(0);
    }

    private static JWTClaimsSet claims(String name, Object roles, long livesSeconds) {
        return new JWTClaimsSet.Builder()
                .subject(name)
                .claim("realm_access", Map.of("roles", roles))
                .expirationTime(Date.from(Instant.now().plusSeconds(livesSeconds)))
                .build();
    }

    private static String signed(RSAKey by, JWTClaimsSet claims) throws JOSEException {
        SignedJWT token = new SignedJWT(
                new JWSHeader.Builder(JWSAlgorithm.RS256).keyID(by.getKeyID()).build(), claims);
        token.sign(new RSASSASigner(by));
        return token.serialize();
    }

    @Test
    void itsNameOwnsAndItsRoleCounts() throws JOSEException {
        Agent carol = agent.as(signed(key, claims("carol@example.org", List.of("offline_access", "user"), 60)));
        Agent viewer = agent.as(signed(key, claims("dave", "viewer", 60)));
        Agent operator = agent.as(signed(key, claims("erin", List.of("viewer", "operator"), 60)));

        Answer lease = carol.send("POST", "/leases", "{}").expect(201);

        assertThat(lease.text("owner")).isEqualTo("carol@example.org");
        viewer.lease(lease.id()).expect(200);
        viewer.endLease(lease.id()).refused(403, "not-permitted");
        agent.as(Tokens.BOB).endLease(lease.id()).refused(403, "not-owner");
        operator.endLease(lease.id()).expect(204);
    }

    @Test
    void whatIsNotSignedOrOverIsNoToken() throws JOSEException {
        JWTClaimsSet claims = claims("carol", "operator", 60);

        agent.as(signed(strangersKey, claims)).get("/leases").refused(401, "unauthorized");
        agent.as(new PlainJWT(claims).serialize()).get("/leases").refused(401, "unauthorized");
        agent.as(signed(key, claims("carol", "operator", -3600))).get("/leases").refused(401, "unauthorized");
        agent.as("a.b.c").get("/leases").refused(401, "unauthorized");
        agent.as(signed(key, claims)).get("/leases").expect(200);
    }

    @Test
    void withoutARoleOrANameItOpensNothing() throws JOSEException {
        agent.as(signed(key, claims("carol", List.of("admin"), 60)))
                .get("/leases")
                .refused(403, "not-permitted");
        agent.as(signed(key, claims("ca\nrol", "user", 60))).get("/leases").refused(403, "not-permitted");
        agent.as(signed(
                        key,
                        new JWTClaimsSet.Builder()
                                .claim("realm_access", Map.of("roles", "user"))
                                .build()))
                .get("/leases")
                .refused(403, "not-permitted");
    }

    @Test
    void aTokenOfTheFileCountsBesideIt() {
        agent.as(Tokens.ALICE).get("/leases").expect(200);
        agent.as(Tokens.UNKNOWN).get("/leases").refused(401, "unauthorized");
    }

    @Test
    void noTokenIsMadeWhereAProviderIsConfiguredAndItsFailureIsNotTheClients() throws Exception {
        Path state = directory.resolve("other");
        try (ConfigurableApplicationContext other = start("/nothing", state)) {
            assertThat(state.resolve("token")).doesNotExist();
            Answer answer =
                    agentOf(other).as(signed(key, claims("carol", "user", 60))).get("/leases");

            answer.refused(503, "identity-provider-unavailable");
            assertThat(answer.headers().firstValue("Retry-After")).isPresent();
        }
    }
}
