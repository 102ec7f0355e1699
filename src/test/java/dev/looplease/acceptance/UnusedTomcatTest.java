package dev.looplease.acceptance;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Reply;
import dev.looplease.acceptance.RawClient.Request;
import jakarta.security.auth.message.config.AuthConfigFactory;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.apache.catalina.Context;
import org.apache.catalina.Valve;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.valves.LoadBalancerDrainingValve;
import org.apache.catalina.valves.rewrite.RewriteValve;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.tomcat.TomcatWebServer;
import org.springframework.boot.web.server.servlet.context.ServletWebServerApplicationContext;

/** The parts of Tomcat with known vulnerabilities that SECURITY.md says the agent does not use. */
@KernelTest
class UnusedTomcatTest extends HttpTest {

    @Autowired
    private ServletWebServerApplicationContext context;

    @Test
    void noValveThatRedirectsOrRewritesIsAskedAboutARequest() {
        Tomcat tomcat = tomcat();

        Stream<Valve> valves = Stream.of(tomcat.getEngine(), tomcat.getHost(), webApplication(tomcat))
                .flatMap(container -> Arrays.stream(container.getPipeline().getValves()));

        assertThat(valves)
                .isNotEmpty()
                .doesNotHaveAnyElementsOfTypes(LoadBalancerDrainingValve.class, RewriteValve.class);
    }

    @Test
    void noConnectionIsUpgradedToAnotherProtocol() throws IOException {
        try (RawClient client = new RawClient(agent.port())) {
            Reply reply = client.send(new Request(
                    "GET",
                    "/livez",
                    List.of(
                            new Header("Host", "localhost"),
                            new Header("Connection", "Upgrade, HTTP2-Settings"),
                            new Header("Upgrade", "h2c"),
                            new Header("HTTP2-Settings", "AAMAAABkAAQAAP__")),
                    null));

            assertThat(reply.status()).isEqualTo(200);
            assertThat(reply.header("Upgrade")).isEmpty();
        }
        assertThat(tomcat().getConnector().findUpgradeProtocols()).isEmpty();
    }

    @Test
    void nobodyIsLetInByJakartaAuthentication() {
        assertThat(AuthConfigFactory.getFactory().getRegistrationIDs(null)).isEmpty();
    }

    private Tomcat tomcat() {
        return ((TomcatWebServer) requireNonNull(context.getWebServer())).getTomcat();
    }

    private static Context webApplication(Tomcat tomcat) {
        return (Context) tomcat.getHost().findChildren()[0];
    }
}
