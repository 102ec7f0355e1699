package dev.looplease.ops;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.looplease.loop.LoopEvent;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import org.springframework.boot.logging.logback.StructuredLogEncoder;
import org.springframework.core.env.Environment;
import org.springframework.core.env.StandardEnvironment;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** One line an event, in the format that Boot's own property chooses. */
class EventLogTest {

    private static final LoopEvent READY = new LoopEvent(
            LoopEvent.Type.DEVICE_READY, "k3v9x0q2m7adp1c8", "loop7", "w7f0c2n4s8y1t5b9", "ci", null, "two\nlines");

    private final Logger logger = (Logger) LoggerFactory.getLogger("looplease.events");
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

    private static String structured(ILoggingEvent event) {
        LoggerContext context = new LoggerContext();
        context.putObject(Environment.class.getName(), new StandardEnvironment());
        StructuredLogEncoder encoder = new StructuredLogEncoder();
        encoder.setContext(context);
        encoder.setFormat("ecs");
        encoder.start();
        return new String(encoder.encode(event), UTF_8);
    }

    @Test
    void aLineHasDeviceNameLeaseAndOwner() {
        new EventLog().happened(READY);

        assertThat(lines.list).singleElement().satisfies(line -> {
            assertThat(line.getFormattedMessage()).isEqualTo("device.ready");
            assertThat(line.getKeyValuePairs())
                    .extracting(pair -> pair.key + "=" + pair.value)
                    .containsExactly(
                            "deviceId=k3v9x0q2m7adp1c8",
                            "device=loop7",
                            "leaseId=w7f0c2n4s8y1t5b9",
                            "owner=ci",
                            "detail=two\\u000alines");
        });
    }

    @Test
    void asJsonItIsOneLineToo() {
        new EventLog().happened(READY);

        String json = structured(lines.list.getFirst());

        assertThat(json.lines()).hasSize(1);
        JsonNode line = JsonMapper.builder().build().readTree(json);
        assertThat(line.path("message").asString()).isEqualTo("device.ready");
        assertThat(line.path("deviceId").asString()).isEqualTo("k3v9x0q2m7adp1c8");
        assertThat(line.path("device").asString()).isEqualTo("loop7");
        assertThat(line.path("leaseId").asString()).isEqualTo("w7f0c2n4s8y1t5b9");
        assertThat(line.path("owner").asString()).isEqualTo("ci");
        assertThat(line.path("detail").asString()).isEqualTo("two\\u000alines");
    }

    @Test
    void whatDoesNotApplyIsLeftOut() {
        new EventLog()
                .happened(new LoopEvent(LoopEvent.Type.LEASE_ENDED, null, null, "w7f0c2n4s8y1t5b9", "ci", null, null));

        assertThat(lines.list.getFirst().getKeyValuePairs())
                .extracting(pair -> pair.key)
                .containsExactly("leaseId", "owner");
    }
}
