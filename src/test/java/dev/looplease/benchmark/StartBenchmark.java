package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

/** How long until the agent answers, and how much memory it takes, as shipped in the image. */
class StartBenchmark {

    private static final int STARTS = Integer.getInteger("benchmark.rounds", 7);

    @Test
    @KernelTest
    void start() throws Exception {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Start and memory", shop);
            Samples starts = new Samples();
            Samples idle = new Samples();
            for (int i = 0; i < STARTS; i++) {
                AgentProcess agent = shop.agent("LOOPLEASE_BACKEND", "ioctl");
                starts.add(agent.nanosToFirstAnswer());
                // The compilers have their say for some seconds, and then their memory is given back.
                Thread.sleep(10_000);
                idle.add(agent.residentBytes());
                agent.close();
            }
            AgentProcess agent = shop.agent("LOOPLEASE_BACKEND", "ioctl");
            try (HttpContender load = new HttpContender("load", agent, 16 << 20)) {
                load.run(5_000, new Contender.Pairs());
            }
            long one = agent.residentBytes();
            Crowd.run(
                    64,
                    agent,
                    10,
                    (client, samples) -> {
                        client.expect(201, "POST", "/loop-devices", "{\"sizeMb\":16}");
                        client.expect(204, "DELETE", "/loop-devices/" + client.text("id"), null);
                    },
                    new Samples());
            report.table(List.of(
                    List.of(
                            "exec to the first 200 of /readyz",
                            "RSS idle for 10 s",
                            "after 5,000 pairs",
                            "after 10 s of 64 clients"),
                    List.of(
                            String.format(
                                    Locale.ROOT,
                                    "%.2f s (%.2f to %.2f)",
                                    starts.median() / 1e9,
                                    starts.quantile(0) / 1e9,
                                    starts.max() / 1e9),
                            (idle.median() >> 20) + " MB",
                            (one >> 20) + " MB",
                            (agent.residentBytes() >> 20) + " MB")));
            report.save("start");
        }
    }
}
