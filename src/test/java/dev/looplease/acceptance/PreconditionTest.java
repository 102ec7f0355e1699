package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Entity tags, If-Match, changes by name, ids that ended, and which check comes first. */
@KernelTest
class PreconditionTest extends HttpTest {

    private static final String STALE = "\"stale\"";

    @Test
    void tagsChangeWithEveryChange() {
        Answer made = created("sizeMb", 2);
        Answer labelled = agent.patch(made.id(), "labels", Map.of("a", "b")).expect(200);
        Answer grown = agent.patch(made.id(), "sizeBytes", 4 * MIB).expect(200);
        Answer detached = agent.detach(made.id()).expect(200);
        Answer attached = agent.attach(made.id()).expect(200);

        assertThat(List.of(made.etag(), labelled.etag(), grown.etag(), detached.etag(), attached.etag()))
                .doesNotHaveDuplicates()
                .allMatch(etag -> etag.matches("\"[^\"]+\""));
        assertThat(agent.device(made.id()).etag()).isEqualTo(attached.etag());
    }

    @Test
    void tagsDoNotChangeWithTimeRenewalsOrWriting() throws IOException {
        Answer made = created("sizeMb", 8);
        mounted(made);
        String lease = agent.lease(made.leaseId()).expect(200).etag();
        agent.renew(made.leaseId()).expect(200);
        agent.renew(made.leaseId(), "ttlSeconds", 60).expect(200);
        await().pollInterval(Duration.ofMillis(100))
                .until(() -> agent.device(made.id())
                                .field("lease")
                                .path("expiresInSeconds")
                                .asLong()
                        < 60);

        assertThat(agent.device(made.id()).etag()).isEqualTo(made.etag());
        assertThat(agent.lease(made.leaseId()).etag()).isEqualTo(lease);
    }

    @Test
    void answersThatNothingChanged() {
        Answer made = created("sizeMb", 2);

        Answer unchanged = agent.device(made.id(), "If-None-Match", made.etag()).expect(304);
        assertThat(unchanged.body()).isEmpty();
        assertThat(unchanged.etag()).isEqualTo(made.etag());
        agent.device(made.id(), "If-None-Match", STALE + ", " + made.etag()).expect(304);
        agent.device(made.id(), "If-None-Match", STALE).expect(200);
        Answer lease = agent.lease(made.leaseId());
        agent.get("/leases/" + made.leaseId(), "If-None-Match", lease.etag()).expect(304);
        // The fault: a star was taken for a tag.
        Answer any = agent.device(made.id(), "If-None-Match", "*").expect(304);
        assertThat(any.body()).isEmpty();
        assertThat(any.etag()).isEqualTo(made.etag());
        agent.get("/leases/" + made.leaseId(), "If-None-Match", " * ").expect(304);
        agent.device("neverknown000000", "If-None-Match", "*").refused(404, "not-found");
    }

    @Test
    void changesOnlyWhatIsStillAsTheClientKnowsIt() {
        Answer made = created("sizeMb", 2);
        String id = made.id();
        String body = Agent.json("sizeBytes", 4 * MIB);

        agent.send("PATCH", "/loop-devices/" + id, body, "If-Match", STALE).refused(412, "precondition-failed");
        agent.detach(id, "If-Match", STALE).refused(412, "precondition-failed");
        agent.attach(id, "If-Match", STALE).refused(412, "precondition-failed");
        agent.delete(id, "If-Match", STALE).refused(412, "precondition-failed");
        agent.delete(id, "If-Match", "W/" + made.etag()).refused(412, "precondition-failed");
        agent.endLease(made.leaseId(), "If-Match", STALE).refused(412, "precondition-failed");
        assertThat(agent.device(id).etag()).isEqualTo(made.etag());

        Answer grown = agent.send("PATCH", "/loop-devices/" + id, body, "If-Match", STALE + "," + made.etag())
                .expect(200);
        agent.detach(id, "If-Match", made.etag()).refused(412, "precondition-failed");
        Answer detached = agent.detach(id, "If-Match", grown.etag()).expect(200);
        Answer attached = agent.attach(id, "If-Match", detached.etag()).expect(200);
        agent.delete(id, "If-Match", attached.etag()).expect(204);
    }

    @Test
    void changesByNameOnlyWithIfMatch() {
        Answer made = created("sizeMb", 2);
        String name = made.name();
        String path = "/loop-devices/" + name;

        agent.send("PATCH", path, "{}").refused(428, "precondition-required");
        agent.detach(name).refused(428, "precondition-required");
        agent.attach(name).refused(428, "precondition-required");
        agent.delete(name).refused(428, "precondition-required");
        agent.delete(name, "If-Match", STALE).refused(412, "precondition-failed");
        assertThat(agent.device(made.id()).etag()).isEqualTo(made.etag());

        Answer patched = agent.send("PATCH", path, "{\"labels\":{\"a\":\"b\"}}", "If-Match", made.etag())
                .expect(200);
        agent.delete(name, "If-Match", patched.etag()).expect(204);
        agent.device(made.id()).refused(410, "ended");
    }

    @Test
    void readsAForeignDeviceAndNeverChangesIt() {
        Path file = userFile("foreign.img", MIB);
        String name = foreign(file);
        Answer seen = agent.device(name).expect(200);
        agent.users(name).expect(200);

        for (String[] headers :
                new String[][] {{}, {"If-Match", seen.etag()}, {"If-Match", STALE}, {"If-Match", "*"}}) {
            agent.send("PATCH", "/loop-devices/" + name, "{\"sizeBytes\": 512}", headers)
                    .refused(403, "not-managed");
            agent.detach(name, headers).refused(403, "not-managed");
            agent.attach(name, headers).refused(403, "not-managed");
            agent.delete(name, headers).refused(403, "not-managed");
        }
        assertThat(agent.device(name).expect(200).etag()).isEqualTo(seen.etag());
        assertThat(file).exists();
    }

    @Test
    void tellsWhatEndedFromWhatNeverWas() {
        Answer made = created("sizeMb", 2);
        agent.delete(made.id()).expect(204);

        for (Answer answer : new Answer[] {
            agent.device(made.id()),
            agent.users(made.id()),
            agent.patch(made.id(), "sizeBytes", 512),
            agent.detach(made.id()),
            agent.attach(made.id()),
            agent.lease(made.leaseId()),
            agent.renew(made.leaseId())
        }) {
            answer.refused(410, "ended");
            assertThat(answer.text("endReason")).isEqualTo("DELETED");
        }
        agent.delete(made.id()).expect(204);
        agent.delete(made.id(), "If-Match", STALE).expect(204);
        agent.endLease(made.leaseId()).expect(204);

        agent.device("neverknown000000").refused(404, "not-found");
        agent.delete("neverknown000000").refused(404, "not-found");
        agent.endLease("neverknown000000").refused(404, "not-found");
        agent.renew("neverknown000000").refused(404, "not-found");
    }

    @Test
    void noticesADeviceThatWasDetachedBehindItsBack() {
        Answer made = created("sizeMb", 2);
        Kernel.output("losetup", "--detach", made.node());

        Answer seen = agent.device(made.id()).expect(200);
        assertThat(seen.text("state")).isEqualTo("DETACHED");
        assertThat(seen.etag()).isNotEqualTo(made.etag());
        assertThat(agent.attach(made.id()).expect(200).text("state")).isEqualTo("READY");
    }

    @Test
    void endsADeviceOfWhichNothingIsLeft() throws IOException {
        Answer made = created("sizeMb", 2);
        Kernel.output("losetup", "--detach", made.node());
        Files.delete(made.image());

        assertThat(agent.device(made.id()).refused(410, "ended").text("endReason"))
                .isEqualTo("LOST");
        agent.delete(made.id()).expect(204);
    }

    @Test
    void neverDeletesWhoeverTookItsNumber() {
        Answer made = created("sizeMb", 2);
        Kernel.output("losetup", "--detach", made.node());
        Path file = userFile("foreign.img", MIB);
        // Others take loop devices too: whoever has the number now, it is not ours.
        String number = Kernel.isAttached(made.name()) ? made.name() : foreign(file);

        agent.delete(made.name(), "If-Match", made.etag()).expect(number.equals(made.name()) ? 403 : 404);
        agent.delete(made.id()).expect(204);
        assertThat(Kernel.isAttached(number)).isTrue();
        assertThat(file).exists();
    }

    // Which check comes first: 400, 404/410, 403, 428, 412, 409

    @ParameterizedTest
    @ValueSource(strings = {"sizeBytes", "nonsense"})
    void aBadBodyComesBeforeAMissingDevice(String field) {
        String body = Agent.json(field, 1);
        Answer ended = created("sizeMb", 2);
        agent.delete(ended.id()).expect(204);
        String foreign = foreign(userFile("foreign.img", MIB));

        for (String ref : new String[] {"neverknown000000", ended.id(), "loop1048575", foreign}) {
            agent.send("PATCH", "/loop-devices/" + ref, body, "If-Match", STALE).refusedField(field);
        }
    }

    @Test
    void aBadHeaderComesBeforeAMissingDevice() {
        agent.delete("neverknown000000", "If-Match", "unquoted").refusedField("If-Match");
        agent.detach("neverknown000000", "If-Match", "").refusedField("If-Match");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"ttlSeconds\": 0}", "{\"ttlSeconds\": 86401}"})
    void aBadTtlComesBeforeAMissingLeaseAndAStaleTag(String body) {
        Answer made = created("sizeMb", 2);
        Answer ended = created("sizeMb", 2);
        agent.delete(ended.id()).expect(204);

        for (String lease : new String[] {"neverknown000000", ended.leaseId(), made.leaseId()}) {
            agent.send("POST", "/leases/" + lease + "/renew", body, "If-Match", STALE)
                    .refusedField("ttlSeconds");
        }
    }

    @Test
    void aMissingDeviceComesBeforeAMissingPrecondition() {
        String absent = IntStream.iterate(900_000, number -> number + 1)
                .mapToObj(number -> "loop" + number)
                .filter(name -> !Files.exists(Path.of("/sys/block", name)))
                .findFirst()
                .orElseThrow();
        agent.delete(absent).refused(404, "not-found");
        agent.delete("neverknown000000", "If-Match", STALE).refused(404, "not-found");
    }

    @Test
    void preconditionsComeBeforeConflicts() throws IOException {
        Answer made = created("sizeMb", 8);
        mounted(made);

        agent.delete(made.name()).refused(428, "precondition-required");
        agent.delete(made.name(), "If-Match", STALE).refused(412, "precondition-failed");
        agent.delete(made.id(), "If-Match", STALE).refused(412, "precondition-failed");
        agent.delete(made.name(), "If-Match", made.etag()).refused(409, "device-busy");
    }
}
