package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.test.context.TestPropertySource;

/** A lease without an end, where the operator allows one; that it is refused elsewhere is BadInputTest's. */
@KernelTest
@TestPropertySource(properties = "looplease.lease.allow-permanent=true")
class PermanentLeaseTest extends HttpTest {

    @Test
    void endsOnlyWhenSomebodyEndsIt() {
        Answer lease = agent.send(
                        "POST", "/leases", Agent.json("permanent", true, "devices", List.of(Map.of("sizeMb", 2))))
                .expect(201);
        afterwards(() -> agent.endLease(lease.id()));

        for (String timed :
                List.of("ttlSeconds", "expireTime", "expiresInSeconds", "renewAfterSeconds", "maxExpireTime")) {
            assertThat(lease.field(timed).isNull()).as(timed).isTrue();
            assertThat(lease.list("devices")
                            .getFirst()
                            .path("lease")
                            .path(timed)
                            .isNull())
                    .as(timed)
                    .isTrue();
        }
        assertThat(agent.renew(lease.id()).expect(200).field("expireTime").isNull())
                .isTrue();
        agent.renew(lease.id(), "ttlSeconds", 5).refusedField("ttlSeconds");
        assertThat(agent.get("/host")
                        .expect(200)
                        .field("limits")
                        .path("allowPermanent")
                        .asBoolean())
                .isTrue();

        agent.endLease(lease.id()).expect(204);
        agent.lease(lease.id()).refused(410, "ended");
    }

    @Test
    void hasNoTtlBeside() {
        for (String ttl : List.of("ttlSeconds", "maxTtlSeconds")) {
            agent.send("POST", "/leases", Agent.json("permanent", true, ttl, 60))
                    .refusedField(ttl);
        }
    }
}
