package dev.looplease.benchmark;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** One client: create and delete over HTTP beside what the kernel needs and what others do, in turns. */
class LatencyBenchmark {

    private static final long IMAGE_BYTES = 64 << 20;
    /** Turns that are not counted. */
    private static final int WARM_UP = 10;

    /** The same for an agent, in pairs: by then its machine code is that of one that has run for a minute or two. */
    private static final int WARM_UP_AGENT = 30_000;

    private static final int ROUNDS = Integer.getInteger("benchmark.rounds", 20);

    /** @param pairs in one turn: more for the fast, so that all take about as long */
    private record Turn(Contender contender, int warmUp, int pairs, Contender.Pairs results) {
        Turn(Contender contender, int warmUp, int pairs) {
            this(contender, warmUp, pairs, new Contender.Pairs());
        }

        Turn(Contender contender, int pairs) {
            this(contender, WARM_UP * pairs, pairs);
        }
    }

    @Test
    @KernelTest
    void latency() throws IOException {
        try (Workshop shop = new Workshop()) {
            Report report = new Report("Latency", shop);
            AgentProcess ioctl = shop.agent("LOOPLEASE_BACKEND", "ioctl");
            List<Turn> alone = alone(shop, ioctl);
            run(alone);
            // udisksd needs a udevd, which looks into every device that comes and goes, whoever's it is: the agent runs
            // beside
            // it once more, and only there is it compared with udisksctl.
            List<Turn> beside = new ArrayList<>();
            Optional<Contender> udisks = Udisks.start(shop, IMAGE_BYTES, report);
            if (udisks.isPresent()) {
                beside.add(new Turn(
                        shop.closing(new HttpContender("HTTP, ioctl driver, beside udevd", ioctl, IMAGE_BYTES)), 50));
                beside.add(new Turn(udisks.get(), 1, 1));
                run(beside);
            }
            List<List<String>> table = new ArrayList<>(table(alone, alone.get(0), alone.get(1)));
            if (!beside.isEmpty()) {
                List<List<String>> more = table(beside, alone.get(0), beside.get(0));
                table.addAll(more.subList(1, more.size()));
            }
            report.table(table);
            report.save("latency");
        }
    }

    private static void run(List<Turn> turns) throws IOException {
        for (Turn turn : turns) {
            turn.contender().run(turn.warmUp(), new Contender.Pairs());
        }
        for (int round = 0; round < ROUNDS; round++) {
            for (Turn turn : turns) {
                turn.contender().run(turn.pairs(), turn.results());
            }
        }
    }

    private static List<Turn> alone(Workshop shop, AgentProcess ioctl) throws IOException {
        AgentProcess losetup = shop.agent("LOOPLEASE_BACKEND", "losetup");
        return List.of(
                new Turn(shop.closing(ProgramContender.raw(shop, IMAGE_BYTES)), 100),
                new Turn(shop.closing(new HttpContender("HTTP, ioctl driver", ioctl, IMAGE_BYTES)), WARM_UP_AGENT, 100),
                new Turn(shop.closing(new HttpContender("HTTP, losetup driver", losetup, IMAGE_BYTES)), 5),
                new Turn(
                        shop.closing(ProgramContender.script(shop, "shell", "bash", "shell.sh", IMAGE_BYTES, Map.of())),
                        5),
                new Turn(
                        shop.closing(ProgramContender.script(
                                shop, "sts.loop's sequence", "python3", "module.py", IMAGE_BYTES, Map.of())),
                        5));
    }

    private static List<List<String>> table(List<Turn> turns, Turn raw, Turn http) {
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
                    Samples.ratio(pair, raw.results().both.median()),
                    Samples.ratio(pair, http.results().both.median())));
        }
        return rows;
    }
}
