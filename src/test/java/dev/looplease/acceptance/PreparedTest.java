package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The agent as the container image has it: its beans were worked out in advance, before anybody had set anything. */
@KernelTest
class PreparedTest extends AgentProcessTest {

    @TempDir
    private static Path beans;

    private static Map<String, String> prepared;

    @BeforeAll
    static void prepare() throws IOException {
        String classPath = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .filter(entry -> !entry.endsWith("test-classes"))
                .collect(Collectors.joining(File.pathSeparator));
        Kernel.output(
                "env",
                "JAVA_HOME=" + System.getProperty("java.home"),
                "packaging/prepare.sh",
                "beans",
                classPath,
                beans.toString());
        prepared = Map.of(
                "CLASSPATH", beans + File.pathSeparator + classPath, "JDK_JAVA_OPTIONS", "-Dspring.aot.enabled=true");
    }

    private AgentProcess start(Map<String, String> more) throws IOException {
        Map<String, String> environment = new HashMap<>(prepared);
        environment.putAll(more);
        return tracked(AgentProcess.start(home, environment, "--looplease.auth=token"));
    }

    /** The fault: Spring had decided that there is none, so its tokens were 401, and one for an operator was made instead. */
    @Test
    void anIdentityProviderCountsThatIsNamedLater() throws IOException {
        try (Provider provider = new Provider()) {
            String jwt = "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_";
            Agent agent = start(Map.of(jwt + "ISSUER_URI", provider.issuer(), jwt + "AUDIENCES", "looplease"))
                    .serving();

            Agent carol = agent.as(provider.signed(
                    provider.claims("carol", "user").audience("looplease").build()));
            agent.as(provider.signed(provider.claims("carol", "user").build()))
                    .get("/leases")
                    .refused(401, "unauthorized");
            Answer device = carol.create("sizeMb", 1).expect(201);
            assertThat(device.text("owner")).isEqualTo("carol");
            carol.delete(device.id()).expect(204);
            assertThat(home.resolve("state/token")).doesNotExist();
        }
    }

    @Test
    void aTokenIsMadeWhereNothingIsConfigured() throws IOException {
        Agent nobody = start(Map.of()).serving();
        Agent agent = nobody.as(Files.readString(home.resolve("state/token")).strip());

        Answer device = agent.create("sizeMb", 1).expect(201);
        agent.delete(device.id()).expect(204);
    }
}
