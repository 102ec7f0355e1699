package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.looplease.KernelTest;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Request;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.apache.catalina.valves.RemoteIpValve;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.tomcat.TomcatWebServer;
import org.springframework.boot.web.server.servlet.context.ServletWebServerApplicationContext;
import org.springframework.test.context.TestPropertySource;

/** Where a proxy says who asks, by which name, nobody else does. */
@KernelTest
@TestPropertySource(properties = {"server.forward-headers-strategy=native", "looplease.allowed-hosts=loop.example"})
class BehindAProxyTest extends HttpTest {

    @Autowired
    private ServletWebServerApplicationContext context;

    private int status(String... headers) throws IOException {
        List<Header> all = new ArrayList<>(List.of(new Header("Authorization", agent.authorization())));
        for (int i = 0; i < headers.length; i += 2) {
            all.add(new Header(headers[i], headers[i + 1]));
        }
        try (RawClient client = new RawClient(agent.port())) {
            return client.send(new Request("DELETE", "/leases/none", all, null)).status();
        }
    }

    /** The fault: a page that made its name lead here only had to add a header, which every page may. */
    @ParameterizedTest
    @CsvSource({
        "evil.example, localhost,    403",
        "localhost,    evil.example, 403",
        "evil.example, evil.example, 403",
        "localhost,    loop.example, 404",
        "loop.example:443, loop.example, 404",
    })
    void bothNamesMustBeItsOwn(String host, String forwarded, int expected) throws IOException {
        assertThat(status("Host", host, "X-Forwarded-Host", forwarded)).isEqualTo(expected);
    }

    @Test
    void theAuditLogHasTheClientsAddress() throws IOException {
        Logger logger = (Logger) LoggerFactory.getLogger("looplease.audit");
        ListAppender<ILoggingEvent> lines = new ListAppender<>();
        lines.start();
        logger.addAppender(lines);
        afterwards(() -> logger.detachAppender(lines));

        assertThat(status("Host", "localhost", "X-Forwarded-For", "192.0.2.7")).isEqualTo(404);

        soon().until(() -> !lines.list.isEmpty());
        assertThat(lines.list.getFirst().getKeyValuePairs().toString()).contains("192.0.2.7");
    }

    /** The fault: every private address was believed, so that whoever is in the same network wrote into the audit log whom he liked. */
    @Test
    void onlyAProxyOnThisHostIsBelievedUnlessAnotherIsNamed() {
        TomcatWebServer server = (TomcatWebServer) Objects.requireNonNull(context.getWebServer());
        assertThat(server.getTomcat().getEngine().getPipeline().getValves())
                .filteredOn(RemoteIpValve.class::isInstance)
                .singleElement()
                .satisfies(valve -> assertThat(
                                ((RemoteIpValve) valve).getInternalProxies().split(", *"))
                        .containsExactlyInAnyOrder("127.0.0.0/8", "::1/128"));
    }
}
