package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.Collections;
import java.util.List;
import java.util.Map;
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

        Answer refused = agent.create("sizeMb", 5).refusedField("sizeMb");
        assertThat(refused.texts("errors", "message"))
                .as("in MiB, as the field is")
                .containsExactly("must be between 1 and 4 MiB (looplease.max-image-size), not 5");
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

        long made = devicesMade();

        Answer tooMuch =
                agent.send("POST", "/leases", "{\"devices\": [{\"sizeMb\": 1}, {\"sizeMb\": 4}, {\"sizeMb\": 2}]}");

        assertFull(tooMuch);
        assertThat(tooMuch.text("detail")).contains(" 0 are promised");
        assertThat(belongings()).isEqualTo(before);
        assertThat(devicesMade()).isEqualTo(made);
    }

    /** The fault: as many as fit were made for a lease that could never fit, and then taken down again. */
    @Test
    void refusesALeaseThatCannotFitBeforeAnythingIsMade() {
        created("sizeMb", 1);
        Belongings before = belongings();
        long made = devicesMade();

        Answer twentyThousand = agent.send(
                "POST", "/leases", Agent.json("devices", Collections.nCopies(20_000, Map.of("sizeBytes", 512))));

        assertFull(twentyThousand);
        assertThat(twentyThousand.text("detail")).contains("1 of the 3 devices", "20000 more");
        assertFull(agent.send(
                "POST", "/leases", Agent.json("devices", Collections.nCopies(3, Map.of("sizeBytes", 512)))));
        assertThat(belongings()).isEqualTo(before);
        assertThat(devicesMade()).isEqualTo(made);
        Answer lease = agent.send(
                        "POST", "/leases", Agent.json("devices", Collections.nCopies(2, Map.of("sizeBytes", 512))))
                .expect(201);
        agent.endLease(lease.id()).expect(204);
    }

    /** The fault guarded: a body of a megabyte became a hundred times as much before it was refused. */
    @Test
    void refusesMoreDevicesThanItEverLendsWithoutLookingAtThem() {
        Map<String, Object> impossible = Map.of("sizeMb", -1);

        assertFull(agent.send("POST", "/leases", Agent.json("devices", Collections.nCopies(4, impossible))));
        agent.send("POST", "/leases", Agent.json("devices", Collections.nCopies(3, impossible)))
                .refusedField("devices[0].sizeMb");
    }

    /** Guards against room that stays taken for those devices of a lease that were never begun. */
    @Test
    void givesTheRoomOfALeaseBackThatCouldNotBeMade() {
        for (int i = 0; i < 3; i++) {
            agent.send(
                            "POST",
                            "/leases",
                            Agent.json(
                                    "devices",
                                    List.of(Map.of("sizeMb", 1, "sectorSize", 1 << 30), Map.of("sizeMb", 4))))
                    .refusedField("devices[0].sectorSize");
        }

        created("sizeMb", 4);
        created("sizeMb", 1);
        created("sizeMb", 1);
    }

    private long devicesMade() {
        return agent.get("/actuator/prometheus")
                .expect(200)
                .body()
                .lines()
                .filter(line -> line.startsWith("looplease_events_total{") && line.contains("\"device.ready\""))
                .mapToLong(line -> (long) Double.parseDouble(line.substring(line.lastIndexOf(' '))))
                .sum();
    }
}
