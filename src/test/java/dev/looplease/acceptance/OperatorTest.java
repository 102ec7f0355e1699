package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.loop.LoopEvent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What people and monitors look at. */
@KernelTest
class OperatorTest extends HttpTest {

    @Test
    void describesTheHost() {
        created("sizeMb", 3);

        Answer host = agent.get("/host").expect(200);

        assertThat(host.text("hostName")).isEqualTo(Kernel.output("uname", "-n"));
        assertThat(host.text("kernel")).isEqualTo(Kernel.output("uname", "-r"));
        assertThat(host.text("backend")).isEqualTo("ioctl");
        assertThat(Kernel.output("losetup", "--version")).contains(host.text("losetupVersion"));
        assertThat(host.field("limits").path("maxDevices").asInt()).isEqualTo(10_000);
        assertThat(host.field("limits").path("minTtlSeconds").asInt()).isEqualTo(1);
        assertThat(host.field("limits").path("maxTtlSeconds").asInt()).isEqualTo(86_400);
        assertThat(host.field("capacity").path("usedDevices").asInt()).isEqualTo(1);
        assertThat(host.field("capacity").path("promisedBytes").asLong()).isEqualTo(3L * MIB);
        assertThat(host.field("capacity").path("freeBytes").asLong()).isPositive();
        JsonNode capabilities = host.field("capabilities");
        assertThat(capabilities.path("largestSectorSize").asInt()).isGreaterThanOrEqualTo(4096);
        assertThat(capabilities.path("partitionScan").isBoolean()).isTrue();
        assertThat(capabilities.path("directIo").isBoolean()).isTrue();
        assertThat(capabilities.path("filesystems").toString()).contains("\"ext4\"");
    }

    @ParameterizedTest
    @ValueSource(strings = {"/livez", "/readyz", "/actuator/health"})
    void isUp(String path) {
        assertThat(agent.get(path).expect(200).text("status")).isEqualTo("UP");
    }

    @Test
    void tellsItsVersion() {
        JsonNode info = agent.get("/actuator/info").expect(200).json();

        assertThat(info.path("build").path("version").asString()).startsWith("0.");
        if (Files.exists(Path.of(".git"))) {
            assertThat(info.path("git").path("commit").path("id").asString()).matches("[0-9a-f]{7,}");
        }
    }

    /** The fault: a counter came into being with its first event, when no alert could see any more that it grew. */
    @Test
    void countsEveryKindOfEventFromTheStart() {
        List<String> lines = agent.get("/actuator/prometheus").body().lines().toList();

        assertThat(lines).anyMatch(line -> line.startsWith("# HELP looplease_events_total What"));
        for (LoopEvent.Type type : LoopEvent.Type.values()) {
            assertThat(lines)
                    .anyMatch(line -> line.startsWith("looplease_events_total{event=\"" + type.text() + "\"} "));
        }
    }

    @Test
    void countsForMonitors() {
        created("sizeMb", 3);

        assertThat(agent.get("/actuator/prometheus").expect(200).body().lines())
                .contains(
                        "looplease_devices{state=\"READY\"} 1.0",
                        "looplease_devices{state=\"STUCK\"} 0.0",
                        "looplease_devices_max 10000.0",
                        "looplease_leases 1.0",
                        "looplease_promised_bytes 3145728.0")
                .anyMatch(line -> line.startsWith("looplease_events_total{event=\"device.ready\"} "));
    }

    /** The fault: 500, because Boot's endpoint then chooses no format at all. */
    @ParameterizedTest
    @ValueSource(strings = {"/actuator/prometheus", "/actuator/health", "/loop-devices", "/host", "/v3/api-docs"})
    void anEmptyAcceptIsNone(String path) {
        String type =
                agent.get(path).expect(200).headers().firstValue("Content-Type").orElseThrow();

        for (String empty : List.of("", " ", ",", " , ,")) {
            Answer answer = agent.get(path, "Accept", empty).expect(200);
            assertThat(answer.headers().firstValue("Content-Type")).contains(type);
        }
        agent.get("/nothing", "Accept", "").refused(404, "not-found");
        agent.get("/loop-devices", "Accept", "a/b, ").refused(406, "not-acceptable");
    }

    @Test
    void describesItself() {
        JsonNode paths = agent.get("/v3/api-docs").expect(200).field("paths");

        for (String path : new String[] {
            "/loop-devices", "/loop-devices/{ref}", "/leases", "/leases/{id}", "/leases/{id}/renew", "/host"
        }) {
            assertThat(paths.has(path)).as(path).isTrue();
        }
    }

    @Test
    void showsItsDescriptionToPeople() {
        Answer page = agent.get("/swagger-ui.html").expect(302);

        String location = page.headers().firstValue("Location").orElseThrow();
        assertThat(agent.get(location).expect(200).body()).containsIgnoringCase("swagger");
    }
}
