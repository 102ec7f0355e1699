package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Filters and pages of both lists. */
@KernelTest
class ListTest extends HttpTest {

    private List<String> ids(String query) {
        return agent.items("/loop-devices" + query).stream()
                .map(device -> device.path("id").asString(""))
                .toList();
    }

    @Test
    void filtersByOneOrSeveralLabels() {
        Answer both = created("sizeMb", 1, "labels", Map.of("suite", "nightly", "arch", "x86"));
        Answer one = created("sizeMb", 1, "labels", Map.of("suite", "nightly"));
        created("sizeMb", 1);

        assertThat(ids("?label=suite%3Dnightly")).containsExactlyInAnyOrder(both.id(), one.id());
        assertThat(ids("?label=suite=nightly&label=arch=x86")).containsExactly(both.id());
        assertThat(ids("?label=suite=nightly&label=arch=arm")).isEmpty();
        assertThat(ids("?label=suite=night")).isEmpty();
        assertThat(ids("?label=suite=")).isEmpty();
    }

    @Test
    void filtersByALabelWhoseValueHasACommaOrMore() {
        for (String value : List.of("a,b", "a=b", "ä ü", "a&b", "")) {
            Answer device = created("sizeMb", 1, "labels", Map.of("odd", value));

            assertThat(ids("?label=odd%3D" + Agent.encoded(value))).as(value).containsExactly(device.id());
        }
    }

    @Test
    void filtersByOwnershipStateAndLease() {
        Answer ready = created("sizeMb", 1);
        Answer detached = agent.detach(created("sizeMb", 1).id());
        foreign(userFile("foreign.img", MIB));

        assertThat(ids("?managed=true")).containsExactlyInAnyOrder(ready.id(), detached.id());
        assertThat(ids("?managed=false")).isNotEmpty().doesNotContain(ready.id(), detached.id());
        assertThat(ids("?state=READY")).containsExactly(ready.id());
        assertThat(ids("?state=DETACHED")).containsExactly(detached.id());
        assertThat(ids("?state=STUCK")).isEmpty();
        assertThat(ids("?leaseId=" + ready.leaseId())).containsExactly(ready.id());
        assertThat(ids("?leaseId=neverknown000000")).isEmpty();
        assertThat(ids("?managed=true&state=DETACHED&leaseId=" + ready.leaseId()))
                .isEmpty();
    }

    @Test
    void pagesShowEveryDeviceOnceWhileForeignOnesComeAndGo() throws Exception {
        List<String> ours = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            Answer device = created("sizeMb", 1);
            ours.add(i % 3 == 0 ? agent.detach(device.id()).id() : device.id());
        }
        String image = userFile("foreign.img", MIB).toString();
        AtomicBoolean over = new AtomicBoolean();
        try (ExecutorService thread = Executors.newSingleThreadExecutor()) {
            Future<?> passers = thread.submit(() -> {
                while (!over.get()) {
                    Kernel.output("losetup", "-d", Kernel.output("losetup", "--find", "--show", image));
                }
            });
            try {
                for (int round = 0; round < 10; round++) {
                    for (int pageSize : List.of(1, 2, 3)) {
                        assertThat(ids("?pageSize=" + pageSize).stream().filter(id -> !id.isEmpty()))
                                .containsExactlyInAnyOrderElementsOf(ours);
                    }
                }
            } finally {
                over.set(true);
            }
            passers.get();
        }
    }

    @Test
    void pagesAreNoLargerThanAsked() {
        Stream<Answer> made = IntStream.range(0, 5).mapToObj(i -> created("sizeMb", 1));
        List<String> ids = made.map(Answer::id).toList();

        Answer first = agent.get("/loop-devices?managed=true&pageSize=2").expect(200);
        assertThat(first.list("items")).hasSize(2);
        assertThat(first.text("nextPageToken")).isNotBlank();
        Answer whole = agent.get("/loop-devices?managed=true&pageSize=5").expect(200);
        assertThat(whole.texts("items", "id")).containsExactlyInAnyOrderElementsOf(ids);
        assertThat(whole.field("nextPageToken").isNull()).isTrue();
    }

    @Test
    void pagesOfLeasesShowEachOnce() {
        List<String> leases = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            leases.add(created("sizeMb", 1).leaseId());
        }

        for (int pageSize : List.of(1, 3, 7, 10_000)) {
            List<JsonNode> seen = agent.items("/leases?pageSize=" + pageSize);
            assertThat(seen.stream().map(lease -> lease.path("id").asString()))
                    .containsExactlyInAnyOrderElementsOf(leases);
            assertThat(seen.stream().map(lease -> lease.path("createTime").asString()))
                    .isSorted();
        }
    }
}
