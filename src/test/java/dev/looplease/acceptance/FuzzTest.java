package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.acceptance.RandomRequests.Attempt;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Reply;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.core.env.Environment;
import org.springframework.test.context.TestPropertySource;

/**
 * Requests at random over the whole of the API's document: whatever is sent, the answer is one that the document
 * describes, never a 500; nothing is left, and a stranger's mounted device beside it stays. Again with the same requests: {@code -Dlooplease.fuzz.seed=…}; fewer or
 * more of them: {@code -Dlooplease.fuzz.requests=…}.
 */
@KernelTest
@TestPropertySource(
        properties = {
            "looplease.max-devices=40",
            "looplease.max-image-size=1GB",
            "looplease.max-total-size=4GB",
        })
class FuzzTest extends HttpTest {

    private static final int REQUESTS = Integer.getInteger("looplease.fuzz.requests", 10_000);
    private static final long SEED = Long.getLong("looplease.fuzz.seed", System.nanoTime());

    /** Often enough that room for new devices is there, and that ids which have ended are used. */
    private static final int REQUESTS_BETWEEN_CLEANUPS = 100;

    private static final int MOST_COMPLAINTS = 25;
    private static final int SHOWN_CHARS = 600;

    @Autowired
    private Environment environment;

    @Test
    void everyAnswerIsAsDescribedAndNothingIsLeft() throws IOException {
        System.out.println("Fuzzing with -Dlooplease.fuzz.seed=" + SEED + " -Dlooplease.fuzz.requests=" + REQUESTS);
        DescribedApi api =
                new DescribedApi(agent.get("/v3/api-docs").expect(200).json());
        RandomRequests requests = new RandomRequests(
                api,
                new Random(SEED),
                List.of(new Header("Host", "localhost"), new Header("Authorization", agent.authorization())));
        preparePlaces(requests);
        afterwards(this::deleteAll);

        Map<String, String> complaints = new LinkedHashMap<>();
        Map<String, Integer> seen = new TreeMap<>();
        int port = environment.getRequiredProperty("local.server.port", Integer.class);
        try (RawClient client = new RawClient(port)) {
            for (int i = 1; i <= REQUESTS && complaints.size() < MOST_COMPLAINTS; i++) {
                Attempt attempt = requests.next();
                Reply reply = client.send(attempt.request());
                seen.merge(attempt.operation() + " " + reply.status(), 1, Integer::sum);
                complaint(api, attempt, reply)
                        .ifPresent(complaint ->
                                complaints.putIfAbsent(attempt.operation() + ": " + complaint, shown(attempt, reply)));
                if (reply.status() < 500) {
                    requests.learn(reply);
                }
                if (i % REQUESTS_BETWEEN_CLEANUPS == 0) {
                    deleteAll();
                }
            }
        }

        System.out.println("Answers: " + seen);
        assertThat(complaints).as("seed " + SEED).isEmpty();
        assertThat(seen.keySet())
                .as("operations that worked at least once")
                .containsAll(api.operations().stream()
                        .map(operation -> operation + " " + firstGoodStatus(operation))
                        .toList());
        deleteAll();
        assertThat(agent.get("/host").field("capacity").path("promisedBytes").asLong())
                .isZero();
        assertThat(mountsBelowHome())
                .containsExactly(userFiles.resolve("foreign").toString());
    }

    private static String firstGoodStatus(DescribedApi.Operation operation) {
        List<String> statuses =
                new ArrayList<>(operation.description().path("responses").propertyNames());
        return statuses.stream()
                .filter(status -> status.startsWith("2") && !status.equals("202"))
                .max(String::compareTo)
                .orElseThrow();
    }

    /** Places that a right request may name, and some that only look like it. */
    private void preparePlaces(RandomRequests requests) throws IOException {
        Path image = userFile("existing.img", MIB);
        requests.know("imagePath", image.toString());
        requests.know("imagePath", userFiles.toString());
        requests.know("imagePath", userFiles.resolve("new.img").toString());
        requests.know("imagePath", images.toString());
        Kernel.output("mkfifo", userFiles.resolve("fifo").toString());
        requests.know("imagePath", userFiles.resolve("fifo").toString());
        Path link = Files.createSymbolicLink(userFiles.resolve("link"), Path.of("/etc/passwd"));
        requests.know("imagePath", link.toString());
        for (int number = 0; number < 12; number++) {
            requests.know("name", "loop" + number);
        }
        Path foreignImage = userFile("foreign.img", 2 * MIB);
        Kernel.output("mkfs.ext4", "-q", "-F", foreignImage.toString());
        String foreign = foreign(foreignImage);
        Path mount = Files.createDirectory(userFiles.resolve("foreign"));
        Kernel.output("mount", "/dev/" + foreign, mount.toString());
        afterwards(() -> unmount(mount));
        requests.know("ref", foreign);
        for (String sectorSize : List.of("512", "1024", "4096")) {
            requests.know("sectorSize", sectorSize);
        }
        for (String size : List.of("1", "2", "4")) {
            requests.know("sizeMb", size);
            requests.know("sizeBytes", Long.toString(Long.parseLong(size) * MIB));
        }
        requests.know("label", "suite=fuzz");
        for (String key : List.of("k1", "k2", "k3")) {
            requests.know("Idempotency-Key", key);
        }
        requests.know("If-Match", "*");
    }

    private List<String> mountsBelowHome() throws IOException {
        return Files.readString(Path.of("/proc/self/mounts"))
                .lines()
                .map(line -> line.split(" ", 3)[1])
                .filter(point -> point.startsWith(home.toString()))
                .toList();
    }

    private static Optional<String> complaint(DescribedApi api, Attempt attempt, Reply reply) {
        if (reply.header("X-Injected").isPresent()) {
            return Optional.of("a client's text became a header");
        }
        if (reply.status() >= 500 && reply.status() != 503 && reply.status() != 501) {
            return Optional.of("status " + reply.status());
        }
        String method = attempt.request().method();
        if (!method.equals(attempt.operation().method())) {
            boolean described = api.has(method, attempt.operation().path());
            boolean refused = reply.mediaType().equals("application/problem+json") && reply.status() >= 400;
            return described || refused ? Optional.empty() : Optional.of(method + " is " + reply.status());
        }
        return api.complaint(attempt.operation(), reply);
    }

    private static String shown(Attempt attempt, Reply reply) {
        return "\n" + cut(new String(attempt.request().bytes(), ISO_8859_1)) + "\n -> " + reply.status() + " "
                + reply.headers() + " " + cut(reply.body()) + "\n";
    }

    private static String cut(String text) {
        String line = text.replace("\r\n", "⏎");
        return line.length() <= SHOWN_CHARS ? line : line.substring(0, SHOWN_CHARS) + "…";
    }

    private void deleteAll() {
        soon().until(() -> {
            agent.managed().forEach(device -> agent.delete(device.path("id").asString()));
            agent.items("/leases")
                    .forEach(lease -> agent.endLease(lease.path("id").asString()));
            return agent.managed().isEmpty() && agent.items("/leases").isEmpty();
        });
    }
}
