package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The same calls with 10, 1,000 and 10,000 leased devices present, and what the kernel itself needs beside them. */
class GrowthBenchmark {

    private static final int ROUNDS = Integer.getInteger("benchmark.rounds", 20);
    private static final int MOST = Integer.getInteger("benchmark.devices", 10_000);
    private static final long IMAGE_BYTES = 16 << 20;

    @Test
    @KernelTest
    void growth() throws Exception {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Growth", shop);
            long atStart = Report.loopDevices();
            AgentProcess agent = shop.agent(
                    "LOOPLEASE_BACKEND",
                    "ioctl",
                    "LOOPLEASE_MAX_DEVICES",
                    "20000",
                    "LOOPLEASE_PRUNE_NODES_AFTER",
                    "1s");
            Contender raw = shop.closing(ProgramContender.raw(shop, IMAGE_BYTES));
            Contender http = shop.closing(new HttpContender("HTTP", agent, IMAGE_BYTES));
            List<List<String>> rows = new ArrayList<>();
            rows.add(List.of(
                    "devices",
                    "raw create",
                    "raw delete",
                    "create",
                    "delete",
                    "agent's part",
                    "get",
                    "renew",
                    "page of 100",
                    "full list",
                    "RSS MB"));
            try (Client client = agent.connect()) {
                raw.run(100, new Contender.Pairs());
                http.run(2_000, new Contender.Pairs());
                int present = 0;
                for (int devices : new int[] {10, MOST / 10, MOST}) {
                    for (; present < devices; present++) {
                        client.expect(201, "POST", "/loop-devices", "{\"sizeMb\":1}");
                    }
                    rows.add(measure(agent, client, raw, http, devices));
                }
                report.table(rows);
                report.say("Milliseconds, medians. The agent's part is a pair over HTTP less a raw one.\n");
                drain(agent, client, report, atStart);
            }
            report.save("growth");
        }
    }

    private static List<String> measure(AgentProcess agent, Client client, Contender raw, Contender http, int devices)
            throws IOException {
        client.expect(201, "POST", "/loop-devices", "{\"sizeMb\":1}");
        String device = "/loop-devices/" + client.text("id");
        String lease = "/leases/" + client.textAfter("lease", "id");
        Contender.Pairs kernel = new Contender.Pairs();
        Contender.Pairs pairs = new Contender.Pairs();
        Samples get = new Samples();
        Samples renew = new Samples();
        Samples page = new Samples();
        Samples list = new Samples();
        int bytes = 0;
        for (int round = 0; round < ROUNDS; round++) {
            raw.run(10, kernel);
            http.run(10, pairs);
            for (int i = 0; i < 50; i++) {
                time(get, client, "GET", device, null);
                time(renew, client, "POST", lease + "/renew", "{\"ttlSeconds\":3600}");
            }
            for (int i = 0; i < 3; i++) {
                time(page, client, "GET", "/loop-devices?pageSize=100", null);
            }
            if (round % 4 == 0) {
                time(list, client, "GET", "/loop-devices?pageSize=10000", null);
                bytes = client.bodyBytes();
            }
        }
        client.expect(204, "DELETE", device, null);
        return List.of(
                Integer.toString(devices),
                Samples.millis(kernel.create.median()),
                Samples.millis(kernel.delete.median()),
                Samples.millis(pairs.create.median()),
                Samples.millis(pairs.delete.median()),
                Samples.millis(pairs.both.median() - kernel.both.median()),
                Samples.millis(get.median()),
                Samples.millis(renew.median()),
                Samples.millis(page.median()),
                Samples.millis(list.median()) + " (" + bytes / 1024 + " KiB)",
                Long.toString(agent.residentBytes() >> 20));
    }

    private static void time(Samples into, Client client, String method, String path, @Nullable String json)
            throws IOException {
        long began = System.nanoTime();
        client.expect(200, method, path, json);
        into.add(System.nanoTime() - began);
    }

    /** Gives all back, and waits until the agent has removed the loop devices that it added. */
    private static void drain(AgentProcess agent, Client client, Report report, long atStart) throws IOException {
        long before = Report.loopDevices();
        long began = System.nanoTime();
        int deleted = 0;
        while (true) {
            client.expect(200, "GET", "/loop-devices?managed=true&pageSize=1000", null);
            List<String> ids = ids(client.body());
            if (ids.isEmpty()) {
                break;
            }
            for (String id : ids) {
                client.expect(204, "DELETE", "/loop-devices/" + id, null);
                deleted++;
            }
        }
        report.say(String.format(
                Locale.ROOT, "%d devices deleted one by one in %.1f s.", deleted, (System.nanoTime() - began) / 1e9));
        began = System.nanoTime();
        agent.awaitPruned(atStart);
        report.say(String.format(
                Locale.ROOT,
                "Free loop devices removed again by the agent: %d in %.0f s, the wait for its minute included.\n",
                before - Report.loopDevices(),
                (System.nanoTime() - began) / 1e9));
    }

    private static List<String> ids(String page) {
        List<String> ids = new ArrayList<>();
        String start = "{\"id\":\"";
        for (int at = page.indexOf(start); at >= 0; at = page.indexOf(start, at + 1)) {
            int end = page.indexOf("\",\"name\"", at);
            String id = end < 0 ? "" : page.substring(at + start.length(), end);
            // A device's, not its lease's.
            if (!id.isEmpty() && id.length() < 40) {
                ids.add(id);
            }
        }
        return ids;
    }
}
