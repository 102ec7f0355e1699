package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.time.Duration;
import java.util.List;

/** Runs a program; a test's fake plays one that this machine's kernel has no use for. */
@FunctionalInterface
interface Command {

    Duration LIMIT = Duration.ofSeconds(30);

    /** Throws what the program said when it did not exit with 0; its success proves nothing. */
    void run(List<String> arguments) throws IOException;

    static Command real() {
        return Command::runReal;
    }

    private static void runReal(List<String> arguments) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(arguments).redirectErrorStream(true);
        builder.environment().put("LC_ALL", "C");
        Process process = builder.start();
        try (PatientThread reader = new PatientThread("looplease-" + arguments.getFirst())) {
            process.getOutputStream().close();
            String said = reader.call(LIMIT, () -> {
                String output = new String(process.getInputStream().readAllBytes(), UTF_8);
                process.waitFor();
                return output;
            });
            if (process.exitValue() != 0) {
                throw new IOException(arguments.getFirst() + ": " + said.strip());
            }
        } finally {
            process.destroyForcibly();
        }
    }
}
