package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.test.context.DynamicPropertyRegistry;
import org.springframework.test.context.DynamicPropertySource;
import org.springframework.test.context.TestPropertySource;

/** Nobody gets more than it may have, and what it gives back it may have again. */
@KernelTest
@TestPropertySource(properties = {"looplease.quota.devices=3", "looplease.quota.leases=4"})
class QuotaTest extends HttpTest {

    private static final String CAROL = Tokens.token("carol");
    private static final String HASTY = Tokens.token("hasty");

    @TempDir
    private static Path directory;

    private Agent alice;
    private Agent carol;

    @DynamicPropertySource
    static void tokens(DynamicPropertyRegistry properties) {
        properties.add(
                "looplease.tokens-file",
                () -> Tokens.write(
                                directory,
                                Tokens.entry("carol", "user", CAROL, "quota: {devices: none, bytes: 8MB}"),
                                Tokens.entry("hasty", "viewer", HASTY, "quota: {requests-per-second: 5}"))
                        .toString());
    }

    @Override
    String token(Path stateDirectory) {
        return Tokens.OPERATOR;
    }

    @BeforeEach
    void meet() {
        alice = agent.as(Tokens.ALICE);
        carol = agent.as(CAROL);
    }

    private static void refused(Answer answer, String what) {
        answer.refused(429, "quota-exceeded");
        assertThat(answer.text("detail")).contains(what);
        assertThat(answer.headers().firstValueAsLong("Retry-After").orElse(0)).isPositive();
    }

    @Test
    void aDeviceTooManyIsRefusedUntilOneIsGivenBack() {
        Answer first = alice.create("sizeMb", 1).expect(201);
        alice.create("sizeMb", 1, "ttlSeconds", 40).expect(201);
        alice.create("sizeMb", 1).expect(201);

        Answer refused = alice.create("sizeMb", 1);

        refused(refused, "3 devices");
        assertThat(refused.headers().firstValueAsLong("Retry-After").orElse(0)).isBetween(1L, 40L);
        agent.as(Tokens.BOB).create("sizeMb", 1).expect(201);
        alice.detach(first.id()).expect(200);
        refused(alice.create("sizeMb", 1), "3 devices");
        alice.delete(first.id()).expect(204);
        alice.create("sizeMb", 1).expect(201);
    }

    /** Twelve that ask at once; what they got, once all are answered. */
    private static List<Answer> granted(Callable<Answer> request) throws Exception {
        List<Answer> granted = new ArrayList<>();
        try (ExecutorService clients = Executors.newFixedThreadPool(12)) {
            for (Future<Answer> answer : clients.invokeAll(Collections.nCopies(12, request))) {
                if (answer.get().status() == 201) {
                    granted.add(answer.get());
                } else {
                    answer.get().refused(429, "quota-exceeded");
                }
            }
        }
        return granted;
    }

    /** The fault: two that come at once are each told that there is room for one. */
    @Test
    void asManyAsMayBeAreMadeHoweverManyAskAtOnce() throws Exception {
        for (int round = 0; round < 5; round++) {
            List<Answer> devices = granted(() -> alice.create("sizeMb", 1));
            assertThat(devices).hasSize(3);
            devices.forEach(device -> alice.delete(device.id()).expect(204));

            List<Answer> large = granted(() -> carol.create("sizeMb", 3));
            assertThat(large).as("8 MB").hasSize(2);
            large.forEach(device -> carol.delete(device.id()).expect(204));

            List<Answer> leases = granted(() -> carol.send("POST", "/leases", "{}"));
            assertThat(leases).hasSize(4);
            leases.forEach(lease -> carol.endLease(lease.id()).expect(204));
        }
    }

    @Test
    void aGroupThatIsTooLargeIsNotMade() {
        String four = Agent.json("devices", Collections.nCopies(4, Map.of("sizeMb", 1)));

        refused(alice.send("POST", "/leases", four), "3 devices");

        assertThat(agent.managed()).isEmpty();
        for (int i = 0; i < 3; i++) {
            alice.create("sizeMb", 1).expect(201);
        }
    }

    @Test
    void whatCouldNotBeMadeDoesNotCount() {
        for (int i = 0; i < 5; i++) {
            alice.create("sizeMb", 1, "imagePath", "/nowhere").refusedField("imagePath");
            alice.create("reuseFile", true, "imagePath", userFiles + "/none").refusedField("imagePath");
        }
        for (int i = 0; i < 3; i++) {
            alice.create("sizeMb", 1).expect(201);
        }
    }

    @Test
    void bytesCountInFullAndGrowthToo() {
        Answer device = carol.create("sizeMb", 4).expect(201);

        refused(carol.create("sizeMb", 5), "8388608 bytes");
        refused(carol.patch(device.id(), "sizeBytes", 9 * MIB), "8388608 bytes");
        assertThat(carol.device(device.id()).number("sizeBytes")).isEqualTo(4 * MIB);
        carol.patch(device.id(), "sizeBytes", 8 * MIB).expect(200);
        refused(carol.create("sizeMb", 1), "8388608 bytes");
        carol.patch(device.id(), "sizeBytes", MIB, "allowShrink", true).expect(200);
        carol.create("sizeMb", 7).expect(201);
    }

    @Test
    void leasesCountThoseOfSingleDevicesToo() {
        carol.create("sizeMb", 1).expect(201);
        List<Answer> leases = IntStream.range(0, 3)
                .mapToObj(i -> carol.send("POST", "/leases", "{}").expect(201))
                .toList();
        leases.forEach(lease -> afterwards(() -> agent.endLease(lease.id()).expect(204)));

        refused(carol.create("sizeMb", 1), "4 leases");
        refused(carol.send("POST", "/leases", "{}"), "4 leases");
        carol.create("sizeMb", 1, "leaseId", leases.getFirst().id()).expect(201);
        carol.endLease(leases.getLast().id()).expect(204);
        carol.create("sizeMb", 1).expect(201);
    }

    /** It is the owner's quota, and an operator answers for what it does with others' things. */
    @Test
    void anOperatorIsNotHeldByTheOwnersQuota() {
        Answer device = carol.create("sizeMb", 8).expect(201);

        agent.patch(device.id(), "sizeBytes", 16 * MIB).expect(200);

        refused(carol.create("sizeMb", 1), "8388608 bytes");
    }

    @Test
    void requestsASecondAreCounted() {
        Agent hasty = agent.as(HASTY);
        List<Answer> answers =
                IntStream.range(0, 50).mapToObj(i -> hasty.get("/leases")).toList();

        assertThat(answers.getFirst().status()).isEqualTo(200);
        Answer tooFast = answers.stream()
                .filter(answer -> answer.status() != 200)
                .findFirst()
                .orElseThrow();
        refused(tooFast, "requests a second");
        agent.get("/leases").expect(200);
        soon().until(() -> hasty.get("/leases").status() == 200);
    }
}
