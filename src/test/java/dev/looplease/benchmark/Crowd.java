package dev.looplease.benchmark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Clients that work at the same time, each on a thread and a connection of its own. */
final class Crowd {

    private Crowd() {}

    /** What each does again and again. */
    interface Turn {
        void take(Client client, Samples samples) throws IOException;
    }

    static void run(int clients, AgentProcess agent, long seconds, Turn turn, Samples into) throws Exception {
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        try (ExecutorService threads = Executors.newFixedThreadPool(clients)) {
            List<Future<Samples>> running = new ArrayList<>();
            for (int i = 0; i < clients; i++) {
                running.add(threads.submit(() -> {
                    Samples samples = new Samples();
                    try (Client client = agent.connect()) {
                        while (System.nanoTime() < end) {
                            turn.take(client, samples);
                        }
                    }
                    return samples;
                }));
            }
            for (Future<Samples> each : running) {
                into.add(each.get());
            }
        }
    }
}
