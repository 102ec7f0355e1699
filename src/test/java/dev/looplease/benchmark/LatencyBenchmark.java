package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** One client: create and delete over HTTP beside what the kernel needs and what others do, in turns. */
class LatencyBenchmark {

    private static final long IMAGE_BYTES = 64 << 20;
    /** Turns that are not counted; one call for udisksctl, which has nothing to warm up. */
    private static final int WARM_UP = 40;

    private static final int ROUNDS = Integer.getInteger("benchmark.rounds", 20);

    /** @param pairs in one turn: more for the fast, so that all take about as long */
    private record Turn(Contender contender, int pairs, Contender.Pairs results) {
        Turn(Contender contender, int pairs) {
            this(contender, pairs, new Contender.Pairs());
        }
    }

    @Test
    @KernelTest
    void latency() throws IOException {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Latency", shop);
            List<Turn> turns = contenders(shop, report);
            for (Turn turn : turns) {
                turn.contender().run(turn.pairs() == 1 ? 1 : turn.pairs() * WARM_UP, new Contender.Pairs());
            }
            for (int round = 0; round < ROUNDS; round++) {
                for (Turn turn : turns) {
                    turn.contender().run(turn.pairs(), turn.results());
                }
            }
            report.table(table(turns));
            report.save("latency");
        }
    }

    private static List<Turn> contenders(Workshop shop, Report report) throws IOException {
        Map<Contender, Integer> all = new LinkedHashMap<>();
        all.put(shop.closing(ProgramContender.raw(shop, IMAGE_BYTES)), 50);
        AgentProcess ioctl = shop.agent("LOOPLEASE_BACKEND", "ioctl");
        all.put(shop.closing(new HttpContender("HTTP, ioctl driver", ioctl, IMAGE_BYTES)), 50);
        AgentProcess losetup = shop.agent("LOOPLEASE_BACKEND", "losetup");
        all.put(shop.closing(new HttpContender("HTTP, losetup driver", losetup, IMAGE_BYTES)), 5);
        all.put(shop.closing(ProgramContender.script(shop, "shell", "bash", "shell.sh", IMAGE_BYTES, Map.of())), 5);
        all.put(
                shop.closing(ProgramContender.script(
                        shop, "sts.loop's sequence", "python3", "module.py", IMAGE_BYTES, Map.of())),
                5);
        Udisks.start(shop, IMAGE_BYTES, report).ifPresent(udisks -> all.put(udisks, 1));
        List<Turn> turns = new ArrayList<>();
        all.forEach((contender, pairs) -> turns.add(new Turn(contender, pairs)));
        return turns;
    }

    private static List<List<String>> table(List<Turn> turns) {
        Contender.Pairs raw = turns.get(0).results();
        Contender.Pairs http = turns.get(1).results();
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of(
                "create + delete",
                "pairs",
                "create ms",
                "delete ms",
                "pair ms",
                "p99 ms",
                "p99/median",
                "/ raw",
                "/ HTTP"));
        for (Turn turn : turns) {
            Contender.Pairs results = turn.results();
            long pair = results.both.median();
            rows.add(List.of(
                    turn.contender().name(),
                    Integer.toString(results.both.count()),
                    Samples.millis(results.create.median()),
                    Samples.millis(results.delete.median()),
                    Samples.millis(pair),
                    Samples.millis(results.both.p99()),
                    Samples.ratio(results.both.p99(), pair),
                    Samples.ratio(pair, raw.both.median()),
                    Samples.ratio(pair, http.both.median())));
        }
        return rows;
    }
}
