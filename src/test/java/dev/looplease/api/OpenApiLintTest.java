package dev.looplease.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The contract's file is clean under Redocly's linter (its rules: redocly.yaml). Where npx cannot bring the linter the test
 * is skipped, visibly; with {@code -Dlooplease.kernel-tests=required} it fails there.
 */
class OpenApiLintTest {

    private static final String LINTER = "@redocly/cli@2.77.0";

    /** The linter needs 20.19 or newer, which many a distribution's Node.js is not. */
    private static final String NODE = "node@22.23.3";

    @TempDir
    private Path directory;

    @Test
    void theContractIsClean() throws Exception {
        if (!System.getProperty("looplease.kernel-tests", "auto").equals("required")) {
            assumeTrue(run("--version").succeeded(), "needs npx (Node.js) that can fetch " + LINTER);
        }

        Outcome lint = run("lint", "--config", "redocly.yaml", "openapi.yaml");

        assertThat(lint.succeeded()).as(lint.output()).isTrue();
    }

    private record Outcome(boolean succeeded, String output) {}

    private Outcome run(String... arguments) throws IOException, InterruptedException {
        Path output = Files.createTempFile(directory, "redocly", ".log");
        ProcessBuilder builder = new ProcessBuilder(Stream.concat(
                                Stream.of("npx", "--yes", "--package=" + NODE, "--package=" + LINTER, "--", "redocly"),
                                Stream.of(arguments))
                        .toList())
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        builder.environment()
                .putAll(Map.of(
                        "REDOCLY_SUPPRESS_UPDATE_NOTICE",
                        "true",
                        "REDOCLY_TELEMETRY",
                        "off",
                        "NO_COLOR",
                        "1",
                        // Or Node keeps one in the temporary directory.
                        "NODE_DISABLE_COMPILE_CACHE",
                        "1"));
        Process process;
        try {
            process = builder.start();
        } catch (IOException e) {
            return new Outcome(false, "There is no npx: " + e.getMessage());
        }
        boolean ended = process.waitFor(3, TimeUnit.MINUTES);
        if (!ended) {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        return new Outcome(ended && process.exitValue() == 0, Files.readString(output));
    }
}
