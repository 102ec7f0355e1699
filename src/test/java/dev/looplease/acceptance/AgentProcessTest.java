package dev.looplease.acceptance;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import org.awaitility.core.ConditionFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** What starts agents in processes of their own; at its end nothing of them is left, whatever happened. */
abstract class AgentProcessTest {

    static final long MIB = 1024 * 1024;

    @TempDir
    private Path temporary;

    /** Around everything that the agents of one test make. */
    Path home;

    Path images;
    private final List<AgentProcess> started = new ArrayList<>();

    static ConditionFactory soon() {
        return await().atMost(Duration.ofSeconds(30)).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(20));
    }

    @BeforeEach
    void resolveHome() throws IOException {
        home = temporary.toRealPath();
        images = home.resolve("state/images");
    }

    @AfterEach
    void removeWhatIsLeft() {
        started.forEach(AgentProcess::close);
        for (JsonNode device : Kernel.devicesBelow(home)) {
            Kernel.output("losetup", "--detach", device.path("name").asString());
        }
    }

    AgentProcess start(String... arguments) throws IOException {
        return tracked(AgentProcess.start(home, arguments));
    }

    AgentProcess tracked(AgentProcess process) {
        started.add(process);
        return process;
    }

    SortedSet<Path> imageFiles() {
        SortedSet<Path> files = HttpTest.filesBelow(images);
        files.removeIf(file -> !file.toString().endsWith(".img"));
        return files;
    }

    boolean nothingIsLeft() {
        return Kernel.bindingsBelow(home).isEmpty()
                && Files.isDirectory(images)
                && imageFiles().isEmpty();
    }
}
