package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import org.junit.jupiter.api.Test;
import org.springframework.test.context.TestPropertySource;

/** An agent that may lend little: what it says when that is lent. */
@KernelTest
@TestPropertySource(
        properties = {"looplease.max-devices=3", "looplease.max-image-size=4MB", "looplease.max-total-size=6MB"})
class CapacityTest extends HttpTest {

    private void assertFull(Answer refusal) {
        refusal.refused(503, "capacity-exhausted");
        assertThat(refusal.headers().firstValueAsLong("Retry-After").orElseThrow())
                .isBetween(1L, 3600L);
    }

    @Test
    void saysSoWhenAllDevicesAreLentAndWhenToComeBack() {
        Answer first = created("sizeMb", 1, "ttlSeconds", 60);
        created("sizeMb", 1);
        created("sizeMb", 1);
        Belongings before = belongings();

        assertFull(agent.create("sizeMb", 1));
        assertFull(agent.send("POST", "/leases", "{\"devices\": [{\"sizeMb\": 1}]}"));

        assertThat(belongings()).isEqualTo(before);
        agent.delete(first.id()).expect(204);
        created("sizeMb", 1);
    }

    @Test
    void staysReadyAndRenewsAndTakesBackWhileItIsFull() {
        for (int i = 0; i < 3; i++) {
            created("sizeMb", 1);
        }

        agent.get("/readyz").expect(200);
        assertThat(agent.get("/actuator/health").expect(200).body()).contains("looplease.max-devices");
        for (var device : agent.managed()) {
            agent.renew(device.path("lease").path("id").asString()).expect(200);
            agent.delete(device.path("id").asString()).expect(204);
        }
    }

    @Test
    void aDetachedDeviceCounts() {
        for (int i = 0; i < 3; i++) {
            agent.detach(created("sizeMb", 1).id()).expect(200);
        }

        assertFull(agent.create("sizeMb", 1));
    }

    @Test
    void countsSparseImagesInFull() {
        created("sizeMb", 4);
        Answer small = created("sizeMb", 2);

        assertFull(agent.create("sizeMb", 1));
        assertFull(agent.patch(small.id(), "sizeBytes", 3 * MIB));
        assertThat(agent.device(small.id()).number("sizeBytes")).isEqualTo(2L * MIB);
        agent.patch(small.id(), "sizeBytes", MIB, "allowShrink", true).expect(200);
        created("sizeMb", 1);
    }

    @Test
    void refusesAnImageThatIsLargerThanAnyMayBe() {
        Answer device = created("sizeMb", 4);

        agent.create("sizeMb", 5).refusedField("sizeMb");
        agent.create("sizeBytes", 4 * MIB + 512).refusedField("sizeBytes");
        agent.create().refused(400, "invalid-request");
        agent.patch(device.id(), "sizeBytes", 5 * MIB).refusedField("sizeBytes");
    }

    /** The faults: whether the lease was there was told first; and a lease's other devices were made in vain. */
    @Test
    void aSizeBeyondTheLimitComesBeforeAMissingLeaseAndAFullAgent() {
        agent.create("sizeMb", 5, "leaseId", "neverknown000000").refusedField("sizeMb");
        created("sizeMb", 4);
        created("sizeMb", 2);

        agent.create("sizeMb", 5).refusedField("sizeMb");
        agent.send("POST", "/leases", "{\"devices\": [{\"sizeMb\": 1}, {\"sizeMb\": 5}]}")
                .refusedField("devices[1].sizeMb");
    }

    @Test
    void makesAllDevicesOfALeaseOrNone() {
        Belongings before = belongings();

        assertFull(agent.send("POST", "/leases", "{\"devices\": [{\"sizeMb\": 1}, {\"sizeMb\": 4}, {\"sizeMb\": 2}]}"));

        assertThat(belongings()).isEqualTo(before);
    }
}
