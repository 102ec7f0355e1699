package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.looplease.KernelTest;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import org.springframework.test.context.TestPropertySource;

/** The audit log where there are several people: it says who, also of those who were refused. */
@KernelTest
@TestPropertySource(properties = "looplease.quota.devices=3")
class AuditOfOthersTest extends TokensTest {

    private final Logger logger = (Logger) LoggerFactory.getLogger("looplease.audit");
    private final ListAppender<ILoggingEvent> lines = new ListAppender<>();

    @BeforeEach
    void listen() {
        lines.start();
        logger.addAppender(lines);
    }

    @AfterEach
    void stopListening() {
        logger.detachAppender(lines);
    }

    /** That of the one request since the last look. */
    private Map<String, String> line(String operation, String who, int status) {
        soon().until(() -> !lines.list.isEmpty());
        assertThat(lines.list).hasSize(1);
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("operation", lines.list.getFirst().getFormattedMessage());
        lines.list.getFirst().getKeyValuePairs().forEach(pair -> fields.put(pair.key, String.valueOf(pair.value)));
        lines.list.clear();
        assertThat(fields)
                .containsEntry("operation", operation)
                .containsEntry("who", who)
                .containsEntry("status", String.valueOf(status));
        return fields;
    }

    private static String[] devices(Map<String, String> line) {
        return line.getOrDefault("deviceId", "").split(",");
    }

    @Test
    void ofWhoeverWasRefused() {
        Agent alice = agent.as(Tokens.ALICE);
        Answer device = alice.create("sizeMb", 1).expect(201);
        line("createLoopDevice", "alice", 201);

        agent.as(Tokens.BOB).delete(device.id()).refused(403, "not-owner");
        assertThat(line("deleteLoopDevice", "bob", 403)).containsEntry("target", device.id());
        agent.as(Tokens.VIEWER).create("sizeMb", 1).refused(403, "not-permitted");
        line("createLoopDevice", "monitor", 403);
        agent.as(Tokens.EXPIRED).endLease(device.leaseId()).refused(401, "unauthorized");
        assertThat(line("DELETE", "ghost", 401)).containsEntry("target", "/leases/" + device.leaseId());
    }

    @Test
    void ofEveryChange() {
        Agent alice = agent.as(Tokens.ALICE);
        Answer device = alice.create("sizeMb", 1).expect(201);
        line("createLoopDevice", "alice", 201);

        alice.patch(device.id(), "sizeBytes", 2 * MIB).expect(200);
        assertThat(line("changeLoopDevice", "alice", 200)).containsEntry("target", device.id());
        alice.detach(device.id()).expect(200);
        assertThat(line("detachLoopDevice", "alice", 200)).containsEntry("target", device.id());
        alice.attach(device.id()).expect(200);
        assertThat(line("attachLoopDevice", "alice", 200)).containsEntry("target", device.id());

        String name = alice.device(device.id()).name();
        alice.delete(name).refused(428, "precondition-required");
        assertThat(line("deleteLoopDevice", "alice", 428)).containsEntry("target", name);
        alice.delete(name, "If-Match", "\"none\"").refused(412, "precondition-failed");
        line("deleteLoopDevice", "alice", 412);
        alice.create("sizeMb", 1, "name", name).refused(409, "name-taken");
        line("createLoopDevice", "alice", 409);
    }

    @Test
    void ofAWholeLease() {
        Agent alice = agent.as(Tokens.ALICE);
        String three = Agent.json("devices", List.of(Map.of("sizeMb", 1), Map.of("sizeMb", 1), Map.of("sizeMb", 1)));

        Answer lease = alice.send("POST", "/leases", three).expect(201);
        Map<String, String> made = line("createLease", "alice", 201);
        assertThat(devices(made)).hasSize(3);
        assertThat(made).containsEntry("leaseId", lease.id());

        alice.create("sizeMb", 1).refused(429, "quota-exceeded");
        line("createLoopDevice", "alice", 429);

        alice.endLease(lease.id()).expect(204);
        Map<String, String> ended = line("endLease", "alice", 204);
        assertThat(ended).containsEntry("target", lease.id());
        assertThat(devices(ended)).containsExactlyInAnyOrder(devices(made));
    }
}
