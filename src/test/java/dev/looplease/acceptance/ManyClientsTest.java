package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Many clients at once: nobody is turned away, nothing is mixed up, nothing is lost. */
@KernelTest
class ManyClientsTest extends HttpTest {

    /** Runs the same for so many clients, each with its number, at once. */
    private static void together(int clients, IntTask task) throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(clients)) {
            List<Callable<Boolean>> tasks = IntStream.range(0, clients)
                    .<Callable<Boolean>>mapToObj(client -> () -> {
                        task.run(client);
                        return true;
                    })
                    .toList();
            for (Future<Boolean> done : threads.invokeAll(tasks)) {
                done.get();
            }
        }
    }

    private interface IntTask {
        void run(int client);
    }

    @Test
    void servesThirtyTwoClientsWithTwentyDevicesEach() throws Exception {
        Map<String, String> holders = new ConcurrentHashMap<>();

        together(32, client -> {
            for (int i = 0; i < 20; i++) {
                Answer device = created("sizeMb", 1);
                assertThat(holders.putIfAbsent(device.name(), device.id()))
                        .as("another holder of %s", device.name())
                        .isNull();
                // Before it is given back: from then on somebody else may have the number.
                holders.remove(device.name());
                agent.delete(device.id()).expect(204);
            }
        });

        assertThat(agent.managed()).isEmpty();
        assertThat(agent.items("/leases")).isEmpty();
        assertThat(Kernel.devicesBelow(home)).isEmpty();
        assertThat(imageFiles()).isEmpty();
    }

    @Test
    void servesClientsThatHoldAllTheirDevicesAtOnce() throws Exception {
        Set<String> names = ConcurrentHashMap.newKeySet();
        together(32, client -> {
            List<Answer> held = new ArrayList<>();
            for (int i = 0; i < 20; i++) {
                held.add(created("sizeMb", 1, "labels", Map.of("client", "" + client)));
            }
            for (Answer device : held) {
                assertThat(names.add(device.name())).as(device.name()).isTrue();
            }
            List<JsonNode> mine = agent.items("/loop-devices?label=client=" + client + "&pageSize=1000");
            assertThat(mine.stream().map(device -> device.path("id").asString()))
                    .containsExactlyInAnyOrderElementsOf(
                            held.stream().map(Answer::id).toList());
            for (Answer device : held) {
                names.remove(device.name());
                agent.delete(device.id()).expect(204);
            }
        });

        assertThat(agent.managed()).isEmpty();
        assertThat(Kernel.devicesBelow(home)).isEmpty();
        assertThat(imageFiles()).isEmpty();
    }

    @Test
    void makesOneMoreWhenAHundredAreThere() {
        for (int i = 0; i < 101; i++) {
            created("sizeMb", 1);
        }

        assertThat(agent.managed()).hasSize(101);
        assertThat(agent.get("/loop-devices?managed=true").expect(200).list("items"))
                .hasSize(100);
        assertThat(Kernel.devicesBelow(images)).hasSize(101);
    }

    @Test
    void keepsItsBooksThroughFiveHundredRandomOperations() throws Exception {
        long seed = new Random().nextLong();
        System.out.println("Random operations with seed " + seed);
        List<String> devices = Collections.synchronizedList(new ArrayList<>());
        List<String> leases = Collections.synchronizedList(new ArrayList<>());

        together(8, client -> {
            Random random = new Random(seed + client);
            for (int i = 0; i < 500 / 8 + 1; i++) {
                Answer answer = anything(random, devices, leases);
                assertThat(answer.status())
                        .as("seed %d: %s answered %s", seed, answer.request(), answer.body())
                        .isIn(200, 201, 202, 204, 400, 409, 410);
            }
        });

        // Whose second is not over yet would end while the books are compared.
        soon().until(() -> agent.managed().stream()
                .noneMatch(device -> device.path("lease").path("ttlSeconds").asInt() == 1));
        assertBooksAgree(seed);
    }

    private Answer anything(Random random, List<String> devices, List<String> leases) {
        String device = devices.isEmpty() ? "" : devices.get(random.nextInt(devices.size()));
        String lease = leases.isEmpty() ? "" : leases.get(random.nextInt(leases.size()));
        int choice = device.isEmpty() ? 0 : random.nextInt(20);
        return switch (choice) {
            case 0, 1, 2, 3, 4, 5 -> {
                Answer made = agent.create(
                        "sizeMb",
                        1 + random.nextInt(4),
                        "sectorSize",
                        random.nextBoolean() ? 512 : 4096,
                        "readOnly",
                        random.nextInt(4) == 0,
                        "imagePath",
                        (random.nextBoolean() ? userFiles : images).toString(),
                        "ttlSeconds",
                        random.nextInt(10) == 0 ? 1 : 600);
                leases.add(made.expect(201).leaseId());
                devices.add(made.id());
                yield made;
            }
            case 6, 7, 8 -> agent.detach(device);
            case 9, 10, 11 -> agent.attach(device);
            case 12 -> agent.delete(device);
            case 13 -> agent.patch(device, "labels", Map.of("n", "" + random.nextInt()));
            case 14 -> agent.patch(device, "sizeBytes", (long) (1 + random.nextInt(8)) * MIB, "allowShrink", true);
            case 15 -> agent.patch(device, "directIo", random.nextBoolean() ? "PREFER" : "OFF");
            case 16 -> agent.patch(device, "sectorSize", random.nextBoolean() ? 512 : 4096);
            case 17 -> agent.get("/loop-devices?pageSize=10000");
            case 18 -> agent.renew(lease);
            default -> random.nextInt(3) == 0 ? agent.endLease(lease) : agent.device(device);
        };
    }

    /** The registry (as it shows over HTTP), the kernel and the directories tell the same. */
    private void assertBooksAgree(long seed) {
        List<JsonNode> registry = agent.managed();
        Set<String> bound = new TreeSet<>();
        Set<Path> files = new TreeSet<>();
        Set<String> leases = new TreeSet<>();
        for (JsonNode device : registry) {
            files.add(Path.of(device.path("backingFile").asString()));
            leases.add(device.path("lease").path("id").asString());
            if (device.path("state").asString().equals("READY")) {
                bound.add(device.path("path").asString() + " "
                        + device.path("backingFile").asString() + " "
                        + device.path("sectorSize").asInt() + " "
                        + device.path("readOnly").asBoolean() + " "
                        + device.path("directIo").asBoolean());
                assertThat(Kernel.sizeBytes(device.path("name").asString()))
                        .isEqualTo(device.path("sizeBytes").asLong());
            }
        }
        assertThat(Kernel.devicesBelow(home).stream()
                        .map(device -> device.path("name").asString() + " "
                                + device.path("back-file").asString() + " "
                                + device.path("log-sec").asInt() + " "
                                + device.path("ro").asBoolean() + " "
                                + device.path("dio").asBoolean())
                        .collect(Collectors.toSet()))
                .as("kernel, seed %d", seed)
                .isEqualTo(bound);
        Set<Path> found = imageFiles();
        found.addAll(filesBelow(userFiles));
        assertThat(found).as("directories, seed %d", seed).isEqualTo(files);
        assertThat(agent.items("/leases").stream()
                        .map(lease -> lease.path("id").asString())
                        .collect(Collectors.toSet()))
                .as("leases, seed %d", seed)
                .isEqualTo(leases);
    }
}
