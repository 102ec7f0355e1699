package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** A device's own lease: shown, renewed, run out, ended. */
@KernelTest
class LeaseTest extends HttpTest {

    /** The fault: each look told another millisecond, and who compared two answers saw a lease that had moved. */
    @Test
    void tellsTheSameEndWhoeverAsksUntilItIsRenewed() {
        Answer device = created("sizeMb", 1, "ttlSeconds", 60);
        String end = device.field("lease").path("expireTime").asString();

        for (int i = 0; i < 20; i++) {
            assertThat(agent.device(device.id())
                            .field("lease")
                            .path("expireTime")
                            .asString())
                    .isEqualTo(end);
            assertThat(agent.lease(device.leaseId()).text("expireTime")).isEqualTo(end);
        }
        assertThat(agent.items("/leases").getFirst().path("expireTime").asString())
                .isEqualTo(end);
        assertThat(agent.renew(device.leaseId()).expect(200).text("expireTime")).isGreaterThan(end);
    }

    @Test
    void showsTheDevicesLease() {
        Instant before = Instant.now();
        Answer device = created("sizeMb", 2, "ttlSeconds", 90, "onExpiry", "DETACH");
        Answer lease = agent.lease(device.leaseId()).expect(200);

        assertThat(lease.id()).matches("[A-Za-z0-9_-]{12,}");
        assertThat(lease.text("state")).isEqualTo("ACTIVE");
        assertThat(lease.text("owner")).isEqualTo("operator");
        assertThat(lease.text("onExpiry")).isEqualTo("DETACH");
        assertThat(lease.number("ttlSeconds")).isEqualTo(90);
        assertThat(lease.number("renewAfterSeconds")).isEqualTo(30);
        assertThat(lease.number("expiresInSeconds")).isBetween(60L, 90L);
        assertThat(lease.field("maxExpireTime").isNull()).isTrue();
        assertThat(Instant.parse(lease.text("expireTime"))).isAfter(before.plusSeconds(89));
        assertThat(Instant.parse(lease.text("createTime"))).isAfter(before.minusSeconds(1));
        assertThat(lease.text("expireTime")).endsWith("Z");
        assertThat(lease.list("deviceIds").stream().map(JsonNode::asString)).containsExactly(device.id());
        JsonNode own = device.field("lease");
        for (String same : new String[] {"id", "ttlSeconds", "onExpiry", "state", "maxExpireTime"}) {
            assertThat(own.path(same)).as(same).isEqualTo(lease.field(same));
        }
        assertThat(agent.items("/leases").stream().map(item -> item.path("id").asString()))
                .contains(lease.id());
    }

    @Test
    void livesAnHourByDefault() {
        Answer lease = agent.lease(created("sizeMb", 2).leaseId()).expect(200);

        assertThat(lease.number("ttlSeconds")).isEqualTo(3600);
        assertThat(lease.number("renewAfterSeconds")).isEqualTo(1200);
        assertThat(lease.text("onExpiry")).isEqualTo("UNMOUNT");
    }

    @Test
    void livesLongerWhenItIsRenewed() {
        Answer device = created("sizeMb", 2, "ttlSeconds", 5);
        String id = device.leaseId();

        Answer renewed = agent.renew(id, "ttlSeconds", 300).expect(200);
        assertThat(renewed.number("ttlSeconds")).isEqualTo(300);
        assertThat(renewed.number("expiresInSeconds")).isBetween(290L, 300L);
        assertThat(agent.renew(id).expect(200).number("ttlSeconds")).isEqualTo(300);
        assertThat(agent.device(device.id()).field("lease").path("ttlSeconds").asLong())
                .isEqualTo(300);
        assertThat(agent.renew(id, "ttlSeconds", 10).expect(200).number("expiresInSeconds"))
                .isLessThanOrEqualTo(10);
    }

    @Test
    void keepsADeviceThatIsRenewedInTime() {
        Answer device = created("sizeMb", 2, "ttlSeconds", 2);
        Instant past = Instant.now().plusSeconds(4);

        soon().pollInterval(Duration.ofMillis(300))
                .until(() -> agent.renew(device.leaseId()).expect(200) != null
                        && Instant.now().isAfter(past));

        agent.device(device.id()).expect(200);
    }

    @Test
    void detachesAndDeletesWhenItRunsOut() {
        Instant made = Instant.now();
        Answer device = created("sizeMb", 2, "ttlSeconds", 1);
        Answer detached = agent.detach(created("sizeMb", 2, "ttlSeconds", 1).id());
        Path file = userFile("mine.img", MIB);
        Answer reused = created("imagePath", file.toString(), "reuseFile", true, "ttlSeconds", 1);

        assertThat(gone(device.id()).text("endReason")).isEqualTo("EXPIRED");
        assertThat(Instant.now()).as("a lease lives at least its ttl").isAfter(made.plusSeconds(1));
        gone(detached.id());
        gone(reused.id());
        assertThat(imageFiles()).isEmpty();
        assertThat(Kernel.devicesBelow(home)).isEmpty();
        assertThat(file).exists();
        assertThat(agent.lease(device.leaseId()).refused(410, "ended").text("endReason"))
                .isEqualTo("EXPIRED");
        assertThat(agent.renew(device.leaseId()).refused(410, "ended").text("endReason"))
                .isEqualTo("EXPIRED");
        agent.delete(device.id()).expect(204);
    }

    @Test
    void keepsAMountedDeviceUntilItIsUnmounted() throws IOException {
        Answer device = created("sizeMb", 8, "ttlSeconds", 30, "onExpiry", "DETACH");
        Path directory = mounted(device);
        agent.renew(device.leaseId(), "ttlSeconds", 1).expect(200);

        soon().until(() -> agent.device(device.id()).text("state").equals("RELEASING"));
        assertThat(device.image()).exists();
        assertThat(Kernel.isMounted(directory)).isTrue();
        assertThat(agent.lease(device.leaseId()).expect(200).text("state")).isEqualTo("RELEASING");
        agent.renew(device.leaseId()).refused(410, "ended");
        agent.patch(device.id(), "sizeBytes", 16 * MIB).expect(409);
        agent.attach(device.id()).expect(409);
        agent.delete(device.id()).expect(202);
        agent.endLease(device.leaseId()).expect(202);

        unmount(directory);
        assertThat(gone(device.id()).text("endReason")).isEqualTo("EXPIRED");
        assertThat(device.image()).doesNotExist();
    }

    @Test
    void endsWithAllItsDevicesOnRequest() {
        Answer device = created("sizeMb", 2);

        agent.endLease(device.leaseId()).expect(204);

        assertThat(agent.device(device.id()).refused(410, "ended").text("endReason"))
                .isEqualTo("DELETED");
        assertThat(device.image()).doesNotExist();
        agent.renew(device.leaseId()).refused(410, "ended");
        agent.endLease(device.leaseId()).expect(204);
    }

    @Test
    void isPendingWhileADeviceIsInUse() throws IOException {
        Answer device = created("sizeMb", 8, "onExpiry", "DETACH");
        Path directory = mounted(device);

        String lived = agent.lease(device.leaseId()).expect(200).etag();
        Answer pending = agent.endLease(device.leaseId(), "If-Match", lived).expect(202);
        assertThat(pending.text("state")).isEqualTo("RELEASING");
        agent.endLease(device.leaseId(), "If-Match", lived).expect(202);
        agent.send("POST", "/leases/" + device.leaseId() + "/renew", "{}", "If-Match", lived)
                .refused(410, "ended");
        unmount(directory);

        soon().until(() -> agent.endLease(device.leaseId()).status() == 204);
        agent.device(device.id()).refused(410, "ended");
        assertThat(device.image()).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(longs = {0, -1, 86401, Long.MAX_VALUE})
    void namesTheRangeOfTtls(long ttl) {
        Answer device = created("sizeMb", 2);

        Answer refused = agent.renew(device.leaseId(), "ttlSeconds", ttl).refusedField("ttlSeconds");

        assertThat(refused.texts("errors", "message").getFirst()).contains("1 and 86400");
        assertThat(agent.lease(device.leaseId()).number("ttlSeconds")).isEqualTo(3600);
    }

    @Test
    void endsWithItsDevice() {
        Answer device = created("sizeMb", 2);
        agent.delete(device.id()).expect(204);

        agent.lease(device.leaseId()).refused(410, "ended");
    }
}
