package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import org.junit.jupiter.api.Test;

/** Which directories of the host an agent uses beside that of the images: its own, and no other. */
@KernelTest
class DirectoriesTest extends AgentProcessTest {

    /** Tomcat's directories stayed there after each kill, as did the JVM's file of counters. */
    @Test
    void leavesNothingInTheTemporaryDirectoryWhenKilled() throws IOException {
        Path temporaries = Files.createDirectory(home.resolve("tmp"));
        Map<String, String> asShipped = Map.of(
                "JDK_JAVA_OPTIONS",
                "@packaging/java.options -Dspring.aot.enabled=false -Djava.io.tmpdir=" + temporaries);
        String[] twoServers = {"--management.server.port=0", "--management.server.address=127.0.0.1"};

        List<SortedSet<Path>> kept = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            AgentProcess process = tracked(AgentProcess.start(home, asShipped, twoServers));
            Agent agent = process.serving();
            agent.delete(agent.create("sizeMb", 1).expect(201).id()).expect(204);
            agent.get("/swagger-ui/index.html").expect(200);
            process.kill();
            assertThat(process.countersOfTheJvm()).doesNotExist();
            kept.add(HttpTest.filesBelow(home.resolve("state")));
        }

        assertThat(temporaries).isEmptyDirectory();
        assertThat(kept.getFirst()).as("what the agent keeps").contains(home.resolve("state/tomcat"));
        assertThat(kept.getLast())
                .as("the second starts with that of the first")
                .isEqualTo(kept.getFirst());
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(home.resolve("state"))))
                .isEqualTo("rwx------");
    }

    /** Spring Boot takes a directory of such a name where the agent happens to be started for files to be served. */
    @Test
    void servesNoFilesOfTheDirectoryInWhichItIsStarted() throws IOException {
        Path started = Files.createDirectory(home.resolve("started"));
        Path file = Files.createDirectory(started.resolve("public")).resolve("secret.txt");
        Files.writeString(file, "secret");

        Agent agent = tracked(AgentProcess.start(home, List.of("env", "--chdir=" + started), Map.of()))
                .serving();

        agent.get("/secret.txt").refused(404, "not-found");
        agent.get("/public/secret.txt").refused(404, "not-found");
    }
}
