package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.springframework.test.context.TestPropertySource;
import tools.jackson.databind.JsonNode;

/** Where users see nothing of others, no answer tells that there is something. */
@KernelTest
@TestPropertySource(properties = "looplease.others-visible=hidden")
class HiddenThingsTest extends TokensTest {

    @Test
    void othersThingsAreNotThere() {
        Agent alice = agent.as(Tokens.ALICE);
        Agent bob = agent.as(Tokens.BOB);
        Answer hers = alice.create("sizeMb", 1).expect(201);
        Answer detached = alice.create("sizeMb", 1).expect(201);
        alice.detach(detached.id()).expect(200);
        Answer ended = alice.create("sizeMb", 1).expect(201);
        alice.delete(ended.id()).expect(204);
        Answer his = bob.create("sizeMb", 1).expect(201);
        String foreign = foreign(userFile("foreign.img", MIB));

        assertThat(ids(bob.items("/loop-devices"))).containsExactly(his.id());
        assertThat(ids(bob.items("/leases"))).containsExactly(his.leaseId());
        for (String ref : List.of(hers.id(), hers.name(), detached.id(), ended.id(), foreign)) {
            bob.device(ref).refused(404, "not-found");
            bob.users(ref).refused(404, "not-found");
            bob.patch(ref, "sizeBytes", 2 * MIB).refused(404, "not-found");
            bob.detach(ref).refused(404, "not-found");
            bob.attach(ref).refused(404, "not-found");
            bob.delete(ref).refused(404, "not-found");
        }
        for (String id : List.of(hers.leaseId(), ended.leaseId())) {
            bob.lease(id).refused(404, "not-found");
            bob.renew(id).refused(404, "not-found");
            bob.endLease(id).refused(404, "not-found");
            bob.create("sizeMb", 1, "leaseId", id).refused(404, "not-found");
            bob.patch(his.id(), "leaseId", id).refused(404, "not-found");
        }
        assertThat(ids(alice.items("/loop-devices"))).containsExactlyInAnyOrder(hers.id(), detached.id());
        alice.device(ended.id()).refused(410, "ended");
    }

    /** The fault: the refusal named the device. */
    @Test
    void aRefusalNamesNoDeviceThatIsNotThere() {
        String foreign = foreign(userFile("shared.img", MIB));

        Answer refused = agent.as(Tokens.BOB).create("imagePath", userFiles + "/shared.img", "reuseFile", true);

        refused.refused(409, "image-overlap");
        assertThat(refused.body()).doesNotContain(foreign);
    }

    @Test
    void whoeverAnswersForAllSeesAll() {
        Answer hers = agent.as(Tokens.ALICE).create("sizeMb", 1).expect(201);
        String foreign = foreign(userFile("foreign.img", MIB));

        for (String token : List.of(Tokens.VIEWER, Tokens.OPERATOR)) {
            agent.as(token).device(hers.id()).expect(200).text("backingFile");
            agent.as(token).device(foreign).expect(200).text("backingFile");
        }
    }

    private static List<String> ids(List<JsonNode> items) {
        return items.stream().map(item -> item.path("id").asString("foreign")).toList();
    }
}
