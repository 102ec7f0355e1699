package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** What belongs to one credential is nobody else's, and does not show more than it must. */
@KernelTest
class OwnershipTest extends TokensTest {

    private Agent alice;
    private Agent bob;

    @BeforeEach
    void meet() {
        alice = agent.as(Tokens.ALICE);
        bob = agent.as(Tokens.BOB);
    }

    @Test
    void theOwnerIsTheCredentialsName() {
        Answer device = alice.create("sizeMb", 1).expect(201);

        assertThat(device.text("owner")).isEqualTo("alice");
        assertThat(agent.lease(device.leaseId()).expect(200).text("owner")).isEqualTo("alice");
        assertThat(agent.create("sizeMb", 1).expect(201).text("owner")).isEqualTo("root");
    }

    @Test
    void othersThingsAreShownWithoutWhereTheyLieAndWhatTheyAreFor() {
        Answer device = alice.create("sizeMb", 1, "labels", labels()).expect(201);
        Answer lease = lease(Agent.json("labels", labels()));
        String path = "/loop-devices/" + device.id();

        for (Answer seen : List.of(bob.get(path), bob.get("/loop-devices/" + device.name()))) {
            seen.expect(200);
            assertThat(seen.id()).isEqualTo(device.id());
            assertThat(seen.text("owner")).isEqualTo("alice");
            assertThat(seen.field("backingFile").isNull()).isTrue();
            assertThat(seen.field("labels").isEmpty()).isTrue();
        }
        assertThat(bob.lease(lease.id()).expect(200).field("labels").isEmpty()).isTrue();
        for (String list : List.of("/loop-devices?pageSize=10000", "/leases?pageSize=10000")) {
            assertThat(bob.get(list).expect(200).body())
                    .contains(device.leaseId())
                    .doesNotContain("secret", images.toString());
        }
        for (Agent seesAll : List.of(alice, agent, agent.as(Tokens.VIEWER))) {
            assertThat(seesAll.get(path).expect(200).body()).contains("secret", images.toString());
            assertThat(seesAll.get("/leases").expect(200).body()).contains("secret");
        }
    }

    /** Otherwise whoever asks often enough reads what the list does not show. */
    @Test
    void aFilterTellsNothingOfOthersLabels() {
        alice.create("sizeMb", 1, "labels", labels()).expect(201);

        assertThat(bob.items("/loop-devices?label=purpose=secret")).isEmpty();
        assertThat(alice.items("/loop-devices?label=purpose=secret")).hasSize(1);
    }

    @Test
    void foreignDevicesAreShownWithoutTheirFile() {
        Path file = userFile("foreign.img", MIB);
        String name = foreign(file);

        assertThat(bob.device(name).expect(200).field("backingFile").isNull()).isTrue();
        assertThat(bob.get("/loop-devices?managed=false").expect(200).body()).doesNotContain(file.toString());
        assertThat(agent.device(name).expect(200).text("backingFile")).isEqualTo(file.toString());
    }

    @Test
    void whoUsesOthersDevicesIsShownWithoutWhere() throws Exception {
        Answer device = alice.create("sizeMb", 32).expect(201);
        Path mount = mounted(device);

        List<JsonNode> seen = bob.users(device.id()).expect(200).list("items");

        assertThat(seen).isNotEmpty().allSatisfy(user -> {
            assertThat(user.path("kind").asString()).isNotEmpty();
            assertThat(user.path("target").isNull()).isTrue();
            assertThat(user.path("command").isNull()).isTrue();
        });
        assertThat(alice.users(device.id()).expect(200).body()).contains(mount.toString());
    }

    @Test
    void anOperatorChangesEverybodysThingsWhichStayTheirOwners() {
        Answer device = alice.create("sizeMb", 1).expect(201);

        Answer changed = agent.patch(device.id(), "sizeBytes", 2 * MIB).expect(200);

        assertThat(changed.text("owner")).isEqualTo("alice");
        agent.renew(device.leaseId()).expect(200);
        agent.delete(device.id()).expect(204);
    }

    /** A device and its lease have one owner, and the owner is who asks. */
    @Test
    void nobodyJoinsAnothersLease() {
        Answer lease = lease("{}");
        Answer device = bob.create("sizeMb", 1).expect(201);

        bob.create("sizeMb", 1, "leaseId", lease.id()).refused(403, "not-owner");
        agent.create("sizeMb", 1, "leaseId", lease.id()).refused(403, "not-owner");
        bob.patch(device.id(), "leaseId", lease.id()).refused(403, "not-owner");
        agent.patch(device.id(), "leaseId", lease.id()).refused(403, "not-owner");
        assertThat(agent.lease(lease.id()).expect(200).list("deviceIds")).isEmpty();
    }

    /** The fault: whoever moved a device to another's lease was told its present ETag first, by a 412. */
    @Test
    void rightsComeBeforePreconditions() {
        Answer lease = lease("{}");
        Answer device = bob.create("sizeMb", 1).expect(201);
        String body = Agent.json("leaseId", lease.id());

        bob.send("PATCH", "/loop-devices/" + device.id(), body, "If-Match", "\"other\"")
                .refused(403, "not-owner");
        bob.send("PATCH", "/loop-devices/" + device.name(), body).refused(403, "not-owner");
        alice.send("PATCH", "/loop-devices/" + device.id(), body, "If-Match", "\"other\"")
                .refused(403, "not-owner");
    }

    @Test
    void keysOfTwoOwnersAreTwoKeys() {
        String[] key = {"Idempotency-Key", "same"};

        Answer one = alice.send("POST", "/loop-devices", Agent.json("sizeMb", 1), key)
                .expect(201);
        Answer two =
                bob.send("POST", "/loop-devices", Agent.json("sizeMb", 1), key).expect(201);

        assertThat(two.id()).isNotEqualTo(one.id());
        assertThat(alice.send("POST", "/loop-devices", Agent.json("sizeMb", 1), key)
                        .expect(200)
                        .id())
                .isEqualTo(one.id());
    }

    @Test
    void theBareHealthIsOpenAndItsDetailsAreNot() {
        assertThat(agent.as(null).get("/actuator/health").expect(200).body())
                .contains("UP")
                .doesNotContain("components");
        assertThat(agent.as(Tokens.VIEWER).get("/actuator/health").expect(200).body())
                .contains("freeBytes");
        agent.as(Tokens.UNKNOWN).get("/actuator/health").refused(401, "unauthorized");
        agent.as(null).get("/actuator/health/loopDevices").refused(401, "unauthorized");
    }

    /** Alice's, which has no device that would end it. */
    private Answer lease(String body) {
        Answer lease = alice.send("POST", "/leases", body).expect(201);
        afterwards(() -> alice.endLease(lease.id()).expect(204));
        return lease;
    }

    private static Map<String, String> labels() {
        return Map.of("purpose", "secret");
    }
}
