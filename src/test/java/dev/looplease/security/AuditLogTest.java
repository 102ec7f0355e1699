package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.looplease.loop.LoopEvent;
import jakarta.servlet.FilterChain;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;
import org.slf4j.event.KeyValuePair;
import org.springframework.mock.web.MockHttpServletRequest;
import org.springframework.mock.web.MockHttpServletResponse;

class AuditLogTest {

    private static LoopEvent ready(int number) {
        return new LoopEvent(
                LoopEvent.Type.DEVICE_READY,
                "id" + number,
                "loop" + number,
                "lease",
                "ci",
                "/images/id" + number + ".img",
                null);
    }

    private static String field(int events, String name) throws Exception {
        return field(
                audit -> (request, response) ->
                        IntStream.range(0, events).mapToObj(AuditLogTest::ready).forEach(audit::happened),
                name);
    }

    private static String field(Function<AuditLog, FilterChain> behind, String name) throws Exception {
        Logger logger = (Logger) LoggerFactory.getLogger("looplease.audit");
        ListAppender<ILoggingEvent> lines = new ListAppender<>();
        lines.start();
        logger.addAppender(lines);
        try {
            AuditLog audit = new AuditLog();
            audit.doFilter(
                    new MockHttpServletRequest("POST", "/leases"), new MockHttpServletResponse(), behind.apply(audit));
        } catch (IllegalStateException expected) {
            assertThat(expected).hasMessage("nobody catches it");
        } finally {
            logger.detachAppender(lines);
        }
        KeyValuePair pair = lines.list.getFirst().getKeyValuePairs().stream()
                .filter(each -> each.key.equals(name))
                .findFirst()
                .orElseThrow();
        return String.valueOf(pair.value);
    }

    /** The fault: 200, which the answer would have had. */
    @Test
    void tellsThatTheAgentFailed() throws Exception {
        assertThat(field(
                        audit -> (request, response) -> {
                            throw new IllegalStateException("nobody catches it");
                        },
                        "status"))
                .isEqualTo("500");
    }

    /** The fault: a line of 698,251 characters for a lease of 10,000 devices. */
    @Test
    void tellsTwentyOfAKindAndHowManyMoreThereAre() throws Exception {
        assertThat(field(20, "deviceId")).startsWith("id0,id1,").endsWith(",id19");
        assertThat(field(10_000, "deviceId")).startsWith("id0,id1,").endsWith(",id19,+9980");
        assertThat(field(10_000, "device")).endsWith(",loop19,+9980");
        assertThat(field(10_000, "image")).endsWith(",/images/id19.img,+9980");
        assertThat(field(10_000, "leaseId")).isEqualTo("lease");
    }
}
