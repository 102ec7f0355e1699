package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.looplease.KernelTest;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.LoggerFactory;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** Who did what is on record, and nobody can write that record but the agent. */
@KernelTest
@ExtendWith(OutputCaptureExtension.class)
class AuditTest extends HttpTest {

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

    /** A line is written when its answer is already on its way. */
    private Map<String, String> onlyLine() {
        soon().until(() -> !lines.list.isEmpty());
        ILoggingEvent line = lines.list.getFirst();
        assertThat(lines.list).hasSize(1);
        lines.list.clear();
        Map<String, String> fields = new LinkedHashMap<>();
        fields.put("operation", line.getFormattedMessage());
        line.getKeyValuePairs().forEach(pair -> fields.put(pair.key, String.valueOf(pair.value)));
        return fields;
    }

    @Test
    void tellsWhoChangedWhatFromWhere() {
        Answer device = created("sizeMb", 1, "labels", Map.of("secret", "s3cret"));

        assertThat(onlyLine())
                .containsEntry("operation", "createLoopDevice")
                .containsEntry("from", "127.0.0.1")
                .containsEntry("who", device.text("owner"))
                .containsEntry("deviceId", device.id())
                .containsEntry("device", device.name())
                .containsEntry("image", device.image().toString())
                .containsEntry("leaseId", device.leaseId())
                .containsEntry("status", "201");

        agent.device(device.id()).expect(200);
        agent.renew(device.leaseId()).expect(200);
        assertThat(onlyLine())
                .containsEntry("operation", "renewLease")
                .containsEntry("target", device.leaseId())
                .containsEntry("status", "200");

        agent.delete(device.id()).expect(204);
        assertThat(onlyLine())
                .containsEntry("operation", "deleteLoopDevice")
                .containsEntry("target", device.id())
                .containsEntry("image", device.image().toString())
                .containsEntry("status", "204");
    }

    @Test
    void tellsWhoWasRefused(CapturedOutput output) {
        agent.get("/loop-devices", "Authorization", "Bearer guessed-token").expect(401);

        assertThat(onlyLine())
                .containsEntry("status", "401")
                .containsEntry("operation", "GET")
                .containsEntry("target", "/loop-devices")
                .doesNotContainKey("who");

        agent.send("POST", "/loop-devices", "{}", "Origin", "http://evil.example")
                .expect(403);

        assertThat(onlyLine())
                .containsEntry("status", "403")
                .containsEntry("operation", "POST")
                .containsEntry("target", "/loop-devices")
                .doesNotContainKey("who");
        assertThat(output.getAll()).doesNotContain("guessed-token", "evil.example");
    }

    /** The fault: of a refusal at the door nothing told what had been asked. */
    @Test
    void tellsOfWhatNobodyWasLetIn(CapturedOutput output) {
        agent.as(null).delete("loop7").expect(401);
        assertThat(onlyLine()).containsEntry("operation", "DELETE").containsEntry("target", "/loop-devices/loop7");

        agent.as(null).get("/x%20forged/2/3/4/5/6/forged").expect(401);
        assertThat(onlyLine()).containsEntry("target", "/(unreadable)/2/3/4/5");
        assertThat(output.getAll()).doesNotContain("forged");
    }

    /** An ended lease stays ended, and the attempt is on record. */
    @Test
    void tellsOfTheReplayOfAnEndedLease() {
        String lease = agent.send("POST", "/leases", "{\"ttlSeconds\": 60}")
                .expect(201)
                .id();
        agent.endLease(lease).expect(204);
        soon().until(() -> lines.list.size() == 2);
        lines.list.clear();

        agent.renew(lease).refused(410, "ended");
        assertThat(onlyLine()).containsEntry("target", lease).containsEntry("status", "410");
        agent.create("sizeMb", 1, "leaseId", lease).refused(410, "ended");
        assertThat(onlyLine()).containsEntry("status", "410");
    }

    /** A file may be called so; a line of the log may not look so. */
    @Test
    void aPathForgesNoField(CapturedOutput output) {
        Path file = userFile("x\" owner=\"root.img", MIB);

        Answer device = created("imagePath", file.toString(), "reuseFile", true);

        assertThat(device.image()).isEqualTo(file);
        assertThat(onlyLine().get("image")).endsWith("x\\\" owner=\\\"root.img");
        assertThat(output.getAll()).doesNotContain("\" owner=\"root");
    }

    /** What reads from right to left, or ends a line for some readers only, would do so in every log. */
    @ParameterizedTest
    @ValueSource(strings = {"\u202e", "\u2028", "\u2029", "\u200b", "\u0085"})
    void aPathTurnsNoLineRound(String unseen, CapturedOutput output) {
        Path file = userFile("forged" + unseen + ".img", MIB);

        agent.create("imagePath", file.toString(), "reuseFile", true).refusedField("imagePath");

        assertThat(output.getAll()).doesNotContain("forged");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "x\r\n2026-01-01T00:00:00Z INFO  audit - forged",
                "\u001b[2J\u001b[31mred",
                "\u0000",
                "\u0085\u2028\u2029",
                "$(touch /tmp/forged)",
                "${jndi:ldap://127.0.0.1/forged}",
                "MEGABYTE"
            })
    void noTextOfAClientsIsInTheLog(String text, CapturedOutput output) {
        String hostile = text.equals("MEGABYTE") ? "forged".repeat(150_000) : "forged" + text;
        List<String> bodies = List.of(
                Agent.json("sizeMb", 1, "labels", Map.of("key", hostile)),
                Agent.json("sizeMb", 1, "labels", Map.of(hostile, "value")),
                Agent.json("sizeMb", 1, "name", hostile),
                Agent.json("sizeMb", 1, "imagePath", hostile),
                Agent.json("sizeMb", 1, "leaseId", hostile),
                Agent.json("sizeMb", 1, "allocation", hostile),
                Agent.json("sizeMb", 1, hostile, 1));
        for (String body : bodies) {
            Answer answer = agent.send("POST", "/loop-devices", body);
            assertThat(answer.status()).as(answer.request()).isBetween(201, 413);
            assertThat(answer.headers().map().toString()).doesNotContain("forged");
        }
        agent.get("/loop-devices?label=" + Agent.encoded(hostile.substring(0, Math.min(1_000, hostile.length()))));
        agent.delete(Agent.encoded(hostile.substring(0, Math.min(1_000, hostile.length())))
                .replace("+", "%20"));
        agent.send("POST", "/leases", Agent.json("ttlSeconds", 1, "labels", Map.of("key", hostile)));

        agent.items("/leases").forEach(lease -> agent.endLease(lease.path("id").asString()));

        assertThat(output.getAll()).doesNotContain("forged", "\u001b", "\u0000", "\u2028");
        assertThat(Path.of("/tmp/forged")).doesNotExist();
    }
}
