package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** Many clients, each on its own connection, that create and delete as fast as they are answered. */
class ThroughputBenchmark {

    private static final long SECONDS = Long.getLong("benchmark.seconds", 10);

    @Test
    @KernelTest
    void throughput() throws Exception {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Throughput", shop);
            AgentProcess agent = shop.agent("LOOPLEASE_BACKEND", "ioctl");
            // Until its machine code is that of an agent that has run for a while.
            run(agent, 8, 45);
            List<List<String>> rows = new ArrayList<>();
            rows.add(List.of("clients", "pairs", "pairs/s", "median ms", "p99 ms", "max ms", "errors"));
            for (int clients : new int[] {1, 8, 64}) {
                Outcome outcome = run(agent, clients, SECONDS);
                rows.add(List.of(
                        Integer.toString(clients),
                        Integer.toString(outcome.pairs().count()),
                        String.format(Locale.ROOT, "%.0f", outcome.pairs().count() / (double) SECONDS),
                        Samples.millis(outcome.pairs().median()),
                        Samples.millis(outcome.pairs().p99()),
                        Samples.millis(outcome.pairs().max()),
                        Integer.toString(outcome.errors())));
            }
            report.table(rows);
            report.save("throughput");
        }
    }

    private record Outcome(Samples pairs, int errors) {}

    private static Outcome run(AgentProcess agent, int clients, long seconds) throws Exception {
        Samples all = new Samples();
        int[] errors = new int[1];
        Crowd.run(
                clients,
                agent,
                seconds,
                (client, samples) -> {
                    long began = System.nanoTime();
                    if (client.send("POST", "/loop-devices", "{\"sizeMb\":16}").status() == 201) {
                        String path = "/loop-devices/" + client.text("id");
                        if (client.send("DELETE", path, null).status() == 204) {
                            samples.add(System.nanoTime() - began);
                            return;
                        }
                    }
                    synchronized (errors) {
                        errors[0]++;
                        if (errors[0] == 1) {
                            throw new IOException(client.status() + " " + client.body());
                        }
                    }
                },
                all);
        return new Outcome(all, errors[0]);
    }
}
