package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** A device whose clean-up fails for good, because its image cannot be deleted, is in sight of everybody until it is gone. */
@KernelTest
class StuckDeviceTest extends HttpTest {

    @Test
    void isShownCountedAndChargedUntilItIsGone() {
        Answer device = created("sizeMb", 3);
        Path image = device.image();
        Kernel.output("chattr", "+i", image.toString());
        afterwards(() -> {
            if (Files.exists(image)) {
                Kernel.output("chattr", "-i", image.toString());
            }
        });
        assertShown(0);

        assertThat(agent.delete(device.id()).expect(202).text("state")).isEqualTo("RELEASING");
        soon().atMost(Duration.ofSeconds(60))
                .until(() -> agent.device(device.id()).text("state").equals("STUCK"));

        assertShown(1);
        assertThat(agent.items("/loop-devices?state=STUCK"))
                .singleElement()
                .satisfies(listed -> assertThat(listed.path("id").asString()).isEqualTo(device.id()));
        JsonNode capacity = agent.get("/host").expect(200).field("capacity");
        assertThat(capacity.path("usedDevices").asInt()).isEqualTo(1);
        assertThat(capacity.path("promisedBytes").asLong()).isEqualTo(3L * MIB);
        agent.attach(device.id()).refused(409, "wrong-state");
        agent.patch(device.id(), "sizeBytes", 4 * MIB).refused(409, "wrong-state");
        agent.lease(device.leaseId()).expect(200);

        Kernel.output("chattr", "-i", image.toString());
        agent.delete(device.id()).expect(204);
        assertThat(agent.device(device.id()).refused(410, "ended").text("endReason"))
                .isEqualTo("DELETED");
        assertThat(image).doesNotExist();
        assertShown(0);
    }

    /** In metrics and health. The agent itself stays in service. */
    private void assertShown(int stuck) {
        assertThat(agent.get("/actuator/prometheus").expect(200).body().lines())
                .contains("looplease_devices{state=\"STUCK\"} " + stuck + ".0");
        JsonNode health = agent.get("/actuator/health").expect(200).json();
        JsonNode details = health.path("components").path("loopDevices").path("details");
        assertThat(health.path("status").asString()).isEqualTo("UP");
        assertThat(details.path("stuckDevices").asInt(-1)).isEqualTo(stuck);
        assertThat(details.path("warnings").toString().contains("/loop-devices?state=STUCK"))
                .isEqualTo(stuck > 0);
        agent.get("/readyz").expect(200);
    }
}
