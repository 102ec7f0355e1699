package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.ForeignDevice;
import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.awaitility.core.ConditionTimeoutException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/**
 * Eight clients make, renew, return and forget devices, the agent is killed at a random moment and started again, and
 * what it owes, what it made and what is not its own is compared: as often as {@code looplease.chaos.cycles} says.
 */
@KernelTest
class ChaosTest extends AgentProcessTest {

    private static final int CLIENTS = 8;
    private static final int CYCLES = Integer.getInteger("looplease.chaos.cycles", 5);
    private static final long SEED =
            Long.getLong("looplease.chaos.seed", ThreadLocalRandom.current().nextInt(1 << 30));
    private static final String BACKEND = System.getProperty("looplease.chaos.backend", "auto");

    private static final int LONGEST_CYCLE_MILLIS = 2500;
    /** The shortest that there is room for: with a longer one each start would spare every lease until the next kill. */
    private static final int GRACE_SECONDS = 1;
    /** Between the agent's being ready and our seeing it. */
    private static final long SLACK_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

    @TempDir
    private Path outside;

    private final Random random = new Random(SEED);
    private final Set<String> leaked = new TreeSet<>();
    private final Set<String> lost = new TreeSet<>();
    private int touched;
    private int kills;

    @Test
    void nothingLeaksNothingIsLostAndNothingForeignIsTouched() throws Exception {
        System.out.println("chaos: " + CYCLES + " cycles, backend " + BACKEND + ", seed " + SEED);
        Path files = Files.createDirectory(files());
        List<ChaosClient> clients = IntStream.range(0, CLIENTS)
                .mapToObj(number -> new ChaosClient(number, SEED, files))
                .toList();
        try (ForeignDevice foreign = ForeignDevice.in(outside.toRealPath())) {
            String before = foreign.look();
            AgentProcess process = agent();
            Agent agent = process.serving();
            for (int cycle = 1; cycle <= CYCLES; cycle++) {
                long died = trafficUntilKilled(process, agent, clients);
                process = restarted();
                agent = process.serving();
                compare(agent, clients, died, System.nanoTime());
                if (!foreign.look().equals(before)) {
                    touched++;
                }
                if (cycle % 10 == 0 || cycle == CYCLES) {
                    report("after " + cycle + " cycles", clients);
                }
            }
            waitForTheEndOfEverything(agent);
        }
        report("in the end", clients);
        assertThat(leaked).as("leaked").isEmpty();
        assertThat(lost).as("lost").isEmpty();
        assertThat(touched).as("foreign touched").isZero();
        assertThat(clients.stream().flatMap(client -> client.complaints().stream()))
                .as("answers that nobody should get")
                .isEmpty();
        assertThat(made(clients)).isPositive();
    }

    /** Where images go that clients name. */
    private Path files() {
        return home.resolve("files");
    }

    private AgentProcess agent() throws IOException {
        return start(
                "--looplease.backend=" + BACKEND,
                "--looplease.image-roots=" + files(),
                "--looplease.lease.grace=" + GRACE_SECONDS + "s");
    }

    /** Some agents do not survive their own start. */
    private AgentProcess restarted() throws IOException {
        AgentProcess process = agent();
        if (random.nextInt(10) == 0) {
            process.listening();
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(random.nextInt(200)));
            process.kill();
            kills++;
            return agent();
        }
        return process;
    }

    /** Returns when the agent was dead. */
    private long trafficUntilKilled(AgentProcess process, Agent agent, List<ChaosClient> clients)
            throws InterruptedException {
        List<Thread> threads = clients.stream()
                .map(client -> Thread.ofPlatform().name("client").start(() -> client.run(agent)))
                .toList();
        // The moment is not a state to wait for: it is what is tried.
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(random.nextInt(LONGEST_CYCLE_MILLIS)));
        process.kill();
        kills++;
        long died = System.nanoTime();
        for (Thread thread : threads) {
            thread.join(Duration.ofMinutes(2));
            assertThat(thread.isAlive()).as("a client hangs").isFalse();
        }
        return died;
    }

    private void compare(Agent agent, List<ChaosClient> clients, long died, long serving) {
        for (ChaosClient client : clients) {
            client.owed(died).forEach((id, until) -> {
                Answer answer = agent.device(id);
                long owedUntil = Math.max(until, serving + TimeUnit.SECONDS.toNanos(GRACE_SECONDS) - SLACK_NANOS);
                boolean lives = answer.status() == 200
                        && Set.of("READY", "DETACHED").contains(answer.text("state"))
                        && Files.exists(answer.image());
                if (!lives && System.nanoTime() < owedUntil) {
                    lost.add(id + ": " + answer.status() + " " + answer.body());
                }
            });
        }
        clients.forEach(client -> lost.addAll(client.lost()));
        Set<String> returned =
                clients.stream().flatMap(client -> client.returned().stream()).collect(Collectors.toSet());
        List<JsonNode> managed = agent.managed();
        Set<String> keys = new HashSet<>();
        for (JsonNode device : managed) {
            if (returned.contains(device.path("id").asString())) {
                leaked.add("returned, and there again: " + device);
            }
            if (!keys.add(device.path("labels").path("key").asString())) {
                leaked.add("made twice: " + device);
            }
        }
        try {
            // What expires meanwhile is somewhere between the two for a moment.
            soon().until(() -> differences(agent).isEmpty());
        } catch (ConditionTimeoutException never) {
            leaked.addAll(differences(agent));
        }
    }

    /** Where the agent, the kernel and the disk do not say the same. */
    private Set<String> differences(Agent agent) {
        Set<String> told = new TreeSet<>();
        for (JsonNode device : agent.managed()) {
            told.add("image " + device.path("backingFile").asString());
            if (device.path("state").asString().equals("READY")) {
                told.add("device " + device.path("name").asString() + " "
                        + device.path("diskSeq").asLong());
            }
        }
        Set<String> there = Kernel.bindingsBelow(home).stream()
                .map(binding -> "device " + binding.substring(0, binding.lastIndexOf(" ")))
                .collect(Collectors.toCollection(TreeSet::new));
        Stream.concat(imageFiles().stream(), HttpTest.filesBelow(files()).stream())
                .forEach(image -> there.add("image " + image));
        Set<String> both = new HashSet<>(told);
        both.retainAll(there);
        Set<String> differences = new TreeSet<>();
        Stream.of(Map.entry("only told: ", told), Map.entry("only there: ", there))
                .forEach(side -> side.getValue().stream()
                        .filter(thing -> !both.contains(thing))
                        .forEach(thing -> differences.add(side.getKey() + thing)));
        return differences;
    }

    /** Nobody renews any more. */
    private void waitForTheEndOfEverything(Agent agent) {
        try {
            soon().until(() -> agent.managed().isEmpty()
                    && agent.items("/leases").isEmpty()
                    && differences(agent).isEmpty());
        } catch (ConditionTimeoutException never) {
            agent.managed().forEach(device -> leaked.add("never ended: " + device));
            agent.items("/leases").forEach(lease -> leaked.add("never ended: " + lease));
            leaked.addAll(differences(agent));
        }
    }

    private static int made(List<ChaosClient> clients) {
        return clients.stream().mapToInt(ChaosClient::made).sum();
    }

    private void report(String when, List<ChaosClient> clients) {
        List<String> complaints = new ArrayList<>();
        clients.forEach(client -> complaints.addAll(client.complaints()));
        System.out.println("chaos " + when + " (" + kills + " kills): devices made " + made(clients) + ", leaked "
                + leaked.size() + ", lost " + lost.size() + ", foreign touched " + touched + "; seed " + SEED);
        Stream.of(leaked, lost, complaints).forEach(all -> all.forEach(System.out::println));
    }
}
