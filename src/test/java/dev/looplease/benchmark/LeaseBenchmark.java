package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Ten thousand leases: how many can be renewed in a second, and what it takes when all end in the same second. */
class LeaseBenchmark {

    private static final int LEASES = Integer.getInteger("benchmark.devices", 10_000);
    private static final int CLIENTS = 16;
    private static final long SECONDS = Long.getLong("benchmark.seconds", 10);

    @Test
    @KernelTest
    void leases() throws Exception {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Leases", shop);
            long atStart = Report.loopDevices();
            AgentProcess agent = shop.agent(
                    "LOOPLEASE_BACKEND",
                    "ioctl",
                    "LOOPLEASE_MAX_DEVICES",
                    "20000",
                    "LOOPLEASE_PRUNE_NODES_AFTER",
                    "1s");
            try (Client client = agent.connect()) {
                List<String> renewals = new ArrayList<>();
                for (int i = 0; i < LEASES; i++) {
                    client.expect(201, "POST", "/loop-devices", "{\"sizeMb\":1}");
                    renewals.add("/leases/" + client.textAfter("lease", "id") + "/renew");
                }
                renew(agent, renewals, 3, "{}");
                Samples samples = renew(agent, renewals, SECONDS, "{}");
                report.say(String.format(
                        Locale.ROOT,
                        "%d leases, %d clients: %.0f renewals/s, median %s ms, p99 %s ms.",
                        LEASES,
                        CLIENTS,
                        samples.count() / (double) SECONDS,
                        Samples.millis(samples.median()),
                        Samples.millis(samples.p99())));
                expire(agent, client, renewals, report);
                report.say("Resident then: " + (agent.residentBytes() >> 20) + " MB.\n");
                agent.awaitPruned(atStart);
            }
            report.save("leases");
        }
    }

    private static Samples renew(AgentProcess agent, List<String> renewals, long seconds, String body)
            throws Exception {
        Samples all = new Samples();
        AtomicInteger next = new AtomicInteger();
        Crowd.run(
                CLIENTS,
                agent,
                seconds,
                (client, samples) -> {
                    String path = renewals.get(Math.floorMod(next.getAndIncrement(), renewals.size()));
                    long began = System.nanoTime();
                    client.expect(200, "POST", path, body);
                    samples.add(System.nanoTime() - began);
                },
                all);
        return all;
    }

    /** Lets all end in one second: each renewal is told what is left until then. */
    private static void expire(AgentProcess agent, Client client, List<String> renewals, Report report)
            throws Exception {
        long end = System.nanoTime() + 40_000_000_000L;
        for (String path : renewals) {
            long left = Math.max(1, (end - System.nanoTime()) / 1_000_000_000L);
            client.expect(200, "POST", path, "{\"ttlSeconds\":" + left + "}");
        }
        Samples meanwhile = new Samples();
        AtomicBoolean over = new AtomicBoolean();
        Thread other = Thread.ofPlatform().start(() -> others(agent, meanwhile, over, end));
        try {
            while (System.nanoTime() < end) {
                Thread.onSpinWait();
                Thread.sleep(10);
            }
            long began = System.nanoTime();
            long left;
            do {
                client.expect(200, "GET", "/loop-devices?managed=true&pageSize=1", null);
                left = client.body().contains("\"id\":\"") ? 1 : 0;
                Thread.sleep(50);
                // One device is always there: the others' own comes and goes.
            } while (left > 0 && agent.leased() > 1 && System.nanoTime() - began < 300_000_000_000L);
            over.set(true);
            other.join();
            report.say(String.format(
                    Locale.ROOT,
                    "%d leases that end in one second: all gone after %.1f s; others' requests meanwhile (%d,"
                            + " to create, get and delete): median %s ms, p99 %s ms, max %s ms.",
                    renewals.size(),
                    (System.nanoTime() - began) / 1e9,
                    meanwhile.count(),
                    Samples.millis(meanwhile.median()),
                    Samples.millis(meanwhile.p99()),
                    Samples.millis(meanwhile.max())));
        } finally {
            over.set(true);
        }
    }

    private static void others(AgentProcess agent, Samples into, AtomicBoolean over, long from) {
        try (Client client = agent.connect()) {
            while (!over.get()) {
                long began = System.nanoTime();
                client.expect(201, "POST", "/loop-devices", "{\"sizeMb\":1}");
                String path = "/loop-devices/" + client.text("id");
                long made = System.nanoTime();
                client.expect(200, "GET", path, null);
                long seen = System.nanoTime();
                client.expect(204, "DELETE", path, null);
                if (began >= from) {
                    into.add(made - began);
                    into.add(seen - made);
                    into.add(System.nanoTime() - seen);
                }
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
