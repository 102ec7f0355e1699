package dev.looplease.loop;

import dev.looplease.losetup.Backend;
import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** An agent in a process of its own that dies at a step. */
final class Victim {

    private static final int STILL_ALIVE = 3;

    private Victim() {}

    /** Recovers, does one operation, and is expected not to come to the end of it. */
    public static void main(String[] args) throws IOException {
        Path home = Path.of(args[0]);
        Ground ground = Ground.start(home, Backend.valueOf(args[1]), args[2], Clock.systemUTC(), Duration.ZERO);
        Operation.valueOf(args[3]).run(ground, home, args[4]);
        System.exit(STILL_ALIVE);
    }

    /** Returns how it ended; what it printed is in {@code home/victim.log}. */
    static int run(Path home, Backend backend, String bootId, Operation operation, String target, Step haltAt)
            throws IOException, InterruptedException {
        File log = home.resolve("victim.log").toFile();
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-XX:+UseSerialGC",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dlooplease.halt-at=" + haltAt,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Victim.class.getName(),
                        home.toString(),
                        backend.name(),
                        bootId,
                        operation.name(),
                        target)
                .redirectErrorStream(true)
                .redirectOutput(log)
                .start();
        try {
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                throw new IllegalStateException("It neither ended nor came to " + haltAt);
            }
            return process.exitValue();
        } finally {
            process.destroyForcibly();
        }
    }
}
