package dev.looplease;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The service's unit: understood by systemd, and as closed as the agent can be. */
class SystemdUnitTest {

    private static final String UNIT = "packaging/systemd/looplease.service";

    @BeforeEach
    void needsSystemdAnalyze() {
        assumeTrue(Files.isExecutable(Path.of("/usr/bin/systemd-analyze")), "needs systemd-analyze");
    }

    /** It exits 0 on a key that it does not know, and says so. */
    @Test
    void isUnderstood() throws Exception {
        assertThat(run("systemd-analyze", "verify", UNIT)).isEqualTo(new Result(0, ""));
    }

    @Test
    void isClosed() throws Exception {
        Result result = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", UNIT);

        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("Overall exposure level");
    }

    /** But for what only a prepared jar has. */
    @Test
    void runsJavaAsTheImageDoes() throws Exception {
        List<String> flags = Files.readAllLines(Path.of("packaging/java.options")).stream()
                .filter(line -> line.startsWith("-X"))
                .toList();

        assertThat(Files.readString(Path.of(UNIT))).contains("/bin/java " + String.join(" ", flags) + " -jar ");
    }

    private record Result(int exit, String output) {}

    private static Result run(String... command) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(List.of(command)).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
        return new Result(process.waitFor(), output);
    }
}
