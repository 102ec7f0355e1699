package dev.looplease.image;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;

/** Runs what tests need of the system and Java does not have: mkfifo, mount. */
final class Shell {

    private Shell() {}

    static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
    }
}
