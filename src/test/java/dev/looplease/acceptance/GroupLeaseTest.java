package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** One lease for many devices: made all or none, kept by one renewal, given back by one call. */
@KernelTest
class GroupLeaseTest extends HttpTest {

    private Answer lease(Object... fields) {
        Answer lease = agent.send("POST", "/leases", Agent.json(fields)).expect(201);
        // An empty lease has no device whose end would end it.
        afterwards(() -> agent.endLease(lease.id()));
        return lease;
    }

    private static List<String> ids(Answer lease) {
        return lease.list("devices").stream()
                .map(device -> device.path("id").asString())
                .toList();
    }

    @Test
    void makesAllItsDevicesAndAnswersThemInFull() {
        Answer lease = lease(
                "ttlSeconds",
                120,
                "maxTtlSeconds",
                300,
                "labels",
                Map.of("suite", "group"),
                "devices",
                List.of(Map.of("sizeMb", 2), Map.of("sizeMb", 4, "sectorSize", 4096)));

        assertThat(lease.headers().firstValue("Location")).contains("/leases/" + lease.id());
        assertThat(lease.text("state")).isEqualTo("ACTIVE");
        assertThat(lease.number("ttlSeconds")).isEqualTo(120);
        assertThat(lease.field("labels").path("suite").asString()).isEqualTo("group");
        assertThat(Instant.parse(lease.text("maxExpireTime"))).isAfter(Instant.parse(lease.text("expireTime")));
        assertThat(lease.texts("devices", "state")).containsExactly("READY", "READY");
        assertThat(lease.list("deviceIds").stream().map(JsonNode::asString)).containsExactlyElementsOf(ids(lease));
        for (JsonNode device : lease.list("devices")) {
            assertThat(device)
                    .isEqualTo(agent.device(device.path("id").asString())
                            .expect(200)
                            .json());
        }
        assertThat(Kernel.devicesBelow(images)).hasSize(2);
    }

    @Test
    void makesNoneWhereOneCannotBeMade() {
        Path file = userFile("there.img", MIB);
        Belongings before = belongings();

        agent.send(
                        "POST",
                        "/leases",
                        Agent.json(
                                "devices",
                                List.of(
                                        Map.of("sizeMb", 2),
                                        Map.of("sizeMb", 2),
                                        Map.of("sizeMb", 2, "imagePath", file.toString()))))
                .refused(409, "image-exists");

        assertThat(belongings()).isEqualTo(before);
    }

    /** The fault: the first was made, and the second told that the name is taken. */
    @Test
    void twoOfItsDevicesCannotHaveOneName() {
        agent.send(
                        "POST",
                        "/leases",
                        Agent.json(
                                "devices",
                                List.of(Map.of("name", "loop4711"), Map.of("sizeMb", 2), Map.of("name", "loop4711"))))
                .refusedField("devices[2].name");
    }

    @Test
    void isRenewedAtOnceAndNeverPastItsEnd() {
        Answer lease = lease("ttlSeconds", 60, "maxTtlSeconds", 90, "devices", List.of(Map.of("sizeMb", 2)));

        Answer renewed = agent.renew(lease.id(), "ttlSeconds", 3600).expect(200);

        assertThat(renewed.number("expiresInSeconds")).isBetween(60L, 90L);
        assertThat(renewed.text("expireTime")).isEqualTo(renewed.text("maxExpireTime"));
        assertThat(renewed.number("renewAfterSeconds")).isBetween(20L, 30L);
        assertThat(renewed.etag()).as("a renewal is no new revision").isEqualTo(lease.etag());
    }

    /** The fault: 20, a third of the ttl, when there were 5 seconds to live. */
    @Test
    void isNeverToBeRenewedAfterItsEnd() {
        Answer lease = lease("ttlSeconds", 60, "maxTtlSeconds", 5);

        assertThat(lease.number("expiresInSeconds")).isLessThanOrEqualTo(5);
        assertThat(lease.number("renewAfterSeconds")).isEqualTo(1);
    }

    @Test
    void takesInFurtherDevicesAndOutlivesTheLast() {
        Answer lease = lease("ttlSeconds", 60);
        assertThat(lease.list("devices")).isEmpty();

        Answer device = created("sizeMb", 2, "leaseId", lease.id());

        assertThat(device.leaseId()).isEqualTo(lease.id());
        Answer now = agent.lease(lease.id()).expect(200);
        assertThat(now.list("deviceIds").stream().map(JsonNode::asString)).containsExactly(device.id());
        assertThat(now.etag()).isNotEqualTo(lease.etag());
        assertThat(agent.items("/loop-devices?leaseId=" + lease.id())).hasSize(1);

        agent.delete(device.id()).expect(204);
        assertThat(agent.lease(lease.id()).expect(200).list("deviceIds")).isEmpty();
        agent.create("sizeMb", 2, "leaseId", "neverknown0000000").refused(404, "not-found");
    }

    @Test
    void movesADeviceToAnotherLease() {
        Answer first = created("sizeMb", 2);
        Answer lease = lease("ttlSeconds", 60);

        Answer moved = agent.patch(first.id(), "leaseId", lease.id()).expect(200);

        assertThat(moved.leaseId()).isEqualTo(lease.id());
        assertThat(moved.etag()).isNotEqualTo(first.etag());
        // Its own lease had this one device.
        agent.lease(first.leaseId()).refused(410, "ended");
        agent.endLease(lease.id()).expect(204);
        gone(first.id());
    }

    @Test
    void givesEverythingBackAtOnce() {
        Answer lease = lease("devices", List.of(Map.of("sizeMb", 2), Map.of("sizeMb", 2), Map.of("sizeMb", 2)));

        agent.endLease(lease.id()).expect(204);

        assertThat(Kernel.devicesBelow(images)).isEmpty();
        assertThat(imageFiles()).isEmpty();
        for (String id : ids(lease)) {
            assertThat(agent.device(id).refused(410, "ended").text("endReason")).isEqualTo("DELETED");
        }
        assertThat(agent.renew(lease.id()).refused(410, "ended").text("endReason"))
                .isEqualTo("DELETED");
        agent.create("sizeMb", 2, "leaseId", lease.id()).refused(410, "ended");
        agent.endLease(lease.id()).expect(204);
    }

    @Test
    void expiresWithAllItsDevices() throws IOException {
        Answer lease = lease("ttlSeconds", 2, "devices", List.of(Map.of("sizeMb", 8), Map.of("sizeMb", 2)));
        String mounted = lease.list("devices").getFirst().path("id").asString();
        Path directory = mounted(agent.device(mounted));

        for (String id : ids(lease)) {
            assertThat(gone(id).text("endReason")).isEqualTo("EXPIRED");
        }

        assertThat(Kernel.isMounted(directory)).isFalse();
        assertThat(agent.lease(lease.id()).refused(410, "ended").text("endReason"))
                .isEqualTo("EXPIRED");
    }
}
