package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** What the README promises a newcomer. */
@KernelTest
class ReadmeTest extends HttpTest {

    @TempDir
    private Path directory;

    /** The commands of a section as they stand, but for what another agent than the README's has elsewhere. */
    private String commands(String section) throws IOException {
        Matcher block = Pattern.compile("\n## " + section + "\n.*?\n```sh\n(.*?)\n```\n", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("README.md")));
        assertThat(block.find()).as("the README has commands in " + section).isTrue();
        return block.group(1)
                .replace("http://127.0.0.1:8080", agent.url())
                .replace("/var/lib/looplease", home.resolve("state").toString())
                .replace("/mnt/looplease", directory.resolve("mnt").toString())
                // Others may attach devices meanwhile.
                .replace("losetup -a", "{ losetup -a | grep -F " + home + "/ || true; }");
    }

    private record Outcome(int exit, String output) {}

    private Outcome run(String script) throws IOException, InterruptedException {
        Path output = directory.resolve("output");
        Process bash = new ProcessBuilder("bash", "-eu", "-c", script)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        if (!bash.waitFor(2, TimeUnit.MINUTES)) {
            bash.descendants().forEach(ProcessHandle::destroyForcibly);
            bash.destroyForcibly().waitFor();
        }
        return new Outcome(bash.exitValue(), Files.readString(output));
    }

    @Test
    void itsCommandsDoWhatTheySayAndLeaveNothing() throws Exception {
        afterwards(() -> unmount(directory.resolve("mnt")));
        Belongings before = belongings();

        Outcome outcome = run(commands("Try it"));

        assertThat(outcome.exit()).as(outcome.output()).isZero();
        List<String> lines = outcome.output().lines().toList();
        assertThat(lines.getLast()).as(outcome.output()).isEqualTo("Nothing is left.");
        assertThat(lines).as("what was on the disk before it was detached").contains("still here");
        assertThat(lines).as("both were returned").filteredOn("204"::equals).hasSize(2);
        assertThat(outcome.output())
                .contains("/problems/device-busy", "\"kind\":\"MOUNT\"", "\"state\":\"DETACHED\"", "EXPIRED")
                .contains("\"sizeBytes\":134217728", "\"ttlSeconds\":600");
        assertThat(belongings()).isEqualTo(before);
    }

    @Test
    void itsGroupOfDevicesIsMadeOnce() throws Exception {
        Outcome first = run(commands("Leases"));
        Outcome repeated = run(commands("Leases"));

        assertThat(first.exit()).as(first.output()).isZero();
        JsonNode lease = Agent.parse(first.output().substring(first.output().indexOf('{')));
        assertThat(lease.path("devices")).as(first.output()).hasSize(2);
        JsonNode again =
                Agent.parse(repeated.output().substring(repeated.output().indexOf('{')));
        assertThat(again.path("id").asString()).isEqualTo(lease.path("id").asString());
        assertThat(agent.managed()).hasSize(2);
        agent.endLease(lease.path("id").asString()).expect(204);
    }
}
