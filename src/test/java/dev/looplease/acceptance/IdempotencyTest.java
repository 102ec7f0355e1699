package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An Idempotency-Key makes one thing, and says so. After a kill -9: {@link KillTest}. */
@KernelTest
class IdempotencyTest extends HttpTest {

    private Answer post(String path, String key, Object... fields) {
        return agent.send("POST", path, Agent.json(fields), "Idempotency-Key", key);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/loop-devices", "/leases"})
    void answersARepetitionWithWhatItMadeAsItIsNow(String path) {
        Answer first =
                post(path, "again" + path, "labels", Map.of("b", "2", "a", "1")).expect(201);

        Answer second =
                post(path, "again" + path, "labels", Map.of("a", "1", "b", "2")).expect(200);

        assertThat(second.id()).isEqualTo(first.id());
        assertThat(second.etag()).isEqualTo(first.etag());
        assertThat(agent.items(path + "?pageSize=1000").stream()
                        .filter(item -> item.path("labels").has("a")))
                .hasSize(1);
        if (path.equals("/leases")) {
            agent.endLease(first.id()).expect(204);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"/loop-devices", "/leases"})
    void refusesTheKeyWithAnotherBody(String path) {
        Answer first = post(path, "another" + path, "labels", Map.of("a", "1")).expect(201);

        post(path, "another" + path, "labels", Map.of("a", "2")).refused(422, "idempotency-key-reused");
        post(path.equals("/leases") ? "/loop-devices" : "/leases", "another" + path, "labels", Map.of("a", "1"))
                .refused(422, "idempotency-key-reused");

        if (path.equals("/leases")) {
            agent.endLease(first.id()).expect(204);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"/loop-devices", "/leases"})
    void saysThatWhatItMadeHasEnded(String path) {
        String id = post(path, "ended" + path, "labels", Map.of("a", "1"))
                .expect(201)
                .id();
        agent.send("DELETE", path + "/" + id, null).expect(204);

        Answer repeated = post(path, "ended" + path, "labels", Map.of("a", "1"));

        assertThat(repeated.refused(410, "ended").text("endReason")).isEqualTo("DELETED");
    }

    @Test
    void mayBeUsedAgainWhenItMadeNothing() {
        Answer taken = created();
        post("/loop-devices", "failed", "name", taken.name()).refused(409, "name-taken");
        agent.delete(taken.id()).expect(204);

        // Somebody else may have taken the number meanwhile: what counts is that it is tried again.
        Answer again = post("/loop-devices", "failed", "name", taken.name());

        assertThat(again.status()).isIn(201, 409);
        assertThat(again.body()).doesNotContain("idempotency-key");
    }

    /** Two at the same moment: one makes it, the other is told to wait, and nothing is made twice. */
    @Test
    void refusesATwinOfARequestUnderWay() {
        soon().until(() -> twins("twin-" + System.nanoTime()), statuses -> statuses.equals(List.of(201, 409)));
    }

    private List<Integer> twins(String key) {
        Object devices = Collections.nCopies(64, Map.of("sizeMb", 1));
        List<Answer> answers = Stream.generate(() -> CompletableFuture.supplyAsync(
                        () -> post("/leases", key, "devices", devices), Thread::startVirtualThread))
                .limit(2)
                .toList()
                .stream()
                .map(CompletableFuture::join)
                .toList();
        for (Answer answer : answers) {
            if (answer.status() == 409) {
                answer.refused(409, "idempotency-key-in-flight");
            }
        }
        assertThat(agent.managed()).hasSize(64);
        agent.items("/leases")
                .forEach(lease -> agent.endLease(lease.path("id").asString()).expect(204));
        return answers.stream().map(Answer::status).sorted().toList();
    }
}
