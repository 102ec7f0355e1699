package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.PlainJWT;
import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;

/** Tokens that an identity provider signs count beside those of the file, by configuration alone. */
class JwtTest {

    private static final String JWT = "--spring.security.oauth2.resourceserver.jwt.";

    @TempDir
    private static Path directory;

    private static Provider provider;
    private static ConfigurableApplicationContext context;
    private static Agent agent;

    @BeforeAll
    static void start() throws IOException {
        provider = new Provider();
        context = start(
                directory.resolve("state"),
                JWT + "jwk-set-uri=" + provider.issuer() + "/keys",
                "--looplease.jwt.role-claim=realm_access.roles",
                "--looplease.tokens-file=" + Tokens.write(directory));
        agent = agentOf(context);
    }

    private static ConfigurableApplicationContext start(Path state, String... more) {
        List<String> arguments = new ArrayList<>(List.of("--server.port=0", "--looplease.state-dir=" + state));
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
        provider.close();
    }

    private static JWTClaimsSet.Builder claims(@Nullable String name, Object roles) {
        return provider.claims(name, null).claim("realm_access", Map.of("roles", roles));
    }

    private static Agent bearing(JWTClaimsSet.Builder claims) {
        return agent.as(provider.signed(claims.build()));
    }

    @Test
    void itsNameOwnsAndItsRoleCounts() {
        Agent carol = bearing(claims("carol@example.org", List.of("offline_access", "user")));
        Agent viewer = bearing(claims("dave", "viewer"));
        Agent operator = bearing(claims("erin", List.of("viewer", "operator")));

        Answer lease = carol.send("POST", "/leases", "{}").expect(201);

        assertThat(lease.text("owner")).isEqualTo("carol@example.org");
        viewer.lease(lease.id()).expect(200);
        viewer.endLease(lease.id()).refused(403, "not-permitted");
        agent.as(Tokens.BOB).endLease(lease.id()).refused(403, "not-owner");
        operator.endLease(lease.id()).expect(204);
    }

    @Test
    void whatIsNotSignedOrOverIsNoToken() {
        RSAKey stranger = Provider.newKey();
        JWTClaimsSet claims = claims("carol", "operator").build();

        agent.as(Provider.signed(stranger, claims)).get("/leases").refused(401, "unauthorized");
        agent.as(new PlainJWT(claims).serialize()).get("/leases").refused(401, "unauthorized");
        bearing(claims("carol", "operator")
                        .expirationTime(Date.from(Instant.now().minusSeconds(3600))))
                .get("/leases")
                .refused(401, "unauthorized");
        agent.as("a.b.c").get("/leases").refused(401, "unauthorized");
        agent.as(provider.signed(claims)).get("/leases").expect(200);
    }

    /** The faults: a token without an end opened for ever, and one that is bound to a key opened to whoever had stolen it. */
    @Test
    void whatHasNoEndOrNeedsAProofIsNoToken() {
        bearing(claims("carol", "user").expirationTime(null)).get("/leases").refused(401, "unauthorized");
        bearing(claims("carol", "user").claim("cnf", Map.of("jkt", "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")))
                .get("/leases")
                .refused(401, "unauthorized");
    }

    @Test
    void withoutARoleOrANameItOpensNothing() {
        bearing(claims("carol", List.of("admin"))).get("/leases").refused(403, "not-permitted");
        bearing(claims("ca\nrol", "user")).get("/leases").refused(403, "not-permitted");
        bearing(claims(null, "user")).get("/leases").refused(403, "not-permitted");
    }

    /** What was made before anybody was configured is theirs, and no provider can make a user of that name. */
    @Test
    void aNameThatTheAgentGivesIsNobodys() {
        bearing(claims("operator", "user")).get("/leases").refused(403, "not-permitted");
        bearing(claims("anonymous", "user")).get("/leases").refused(403, "not-permitted");
    }

    @Test
    void aTokenOfTheFileCountsBesideIt() {
        agent.as(Tokens.ALICE).get("/leases").expect(200);
        agent.as(Tokens.UNKNOWN).get("/leases").refused(401, "unauthorized");
    }

    @Test
    void anIssuerTellsWhereItsKeysAreAndItsTokensMustBeForThisService() {
        try (ConfigurableApplicationContext other = start(
                directory.resolve("issuer"),
                JWT + "issuer-uri=" + provider.issuer(),
                JWT + "audiences=looplease,storage")) {
            Agent asked = agentOf(other);
            JWTClaimsSet right =
                    provider.claims("carol", "user").audience("looplease").build();

            asked.as(provider.signed(right)).get("/leases").expect(200);
            for (JWTClaimsSet wrong : List.of(
                    new JWTClaimsSet.Builder(right).audience("mail").build(),
                    new JWTClaimsSet.Builder(right).audience((String) null).build(),
                    new JWTClaimsSet.Builder(right).issuer("http://127.0.0.1").build(),
                    new JWTClaimsSet.Builder(right).issuer(null).build())) {
                asked.as(provider.signed(wrong)).get("/leases").refused(401, "unauthorized");
            }
        }
    }

    @Test
    void aKeyInAFileIsEnough() throws IOException {
        RSAKey key = Provider.newKey();
        Path pem = Files.writeString(directory.resolve("key.pem"), pem(key));
        try (ConfigurableApplicationContext other =
                start(directory.resolve("key"), JWT + "public-key-location=file:" + pem)) {
            Agent asked = agentOf(other);
            JWTClaimsSet claims = provider.claims("carol", "user").build();

            asked.as(Provider.signed(key, claims)).get("/leases").expect(200);
            asked.as(provider.signed(claims)).get("/leases").refused(401, "unauthorized");
        }
        Files.writeString(pem, "no key");
        assertThatThrownBy(() -> start(directory.resolve("no"), JWT + "public-key-location=file:" + pem)
                        .close())
                .hasStackTraceContaining("public-key-location");
        assertThatThrownBy(() -> start(
                                directory.resolve("no"),
                                JWT + "jwk-set-uri=" + provider.issuer() + "/keys",
                                JWT + "jws-algorithms=none")
                        .close())
                .hasStackTraceContaining("jws-algorithms");
    }

    private static String pem(RSAKey key) {
        try {
            return "-----BEGIN PUBLIC KEY-----\n"
                    + Base64.getMimeEncoder(64, "\n".getBytes(US_ASCII))
                            .encodeToString(key.toRSAPublicKey().getEncoded())
                    + "\n-----END PUBLIC KEY-----\n";
        } catch (JOSEException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The fault, of an issuer: 500, as if the agent were broken. */
    @Test
    void noTokenIsMadeWhereAProviderIsConfiguredAndItsFailureIsNotTheClients() {
        String token = provider.signed(provider.claims("carol", "user").build());
        for (String broken :
                List.of("jwk-set-uri=" + provider.issuer() + "/nothing", "issuer-uri=http://127.0.0.1:1")) {
            Path state = directory.resolve(broken.substring(0, 3));
            try (ConfigurableApplicationContext other = start(state, JWT + broken)) {
                assertThat(state.resolve("token")).doesNotExist();
                Answer answer = agentOf(other).as(token).get("/leases");

                answer.refused(503, "identity-provider-unavailable");
                assertThat(answer.headers().firstValue("Retry-After")).isPresent();
            }
        }
    }
}
