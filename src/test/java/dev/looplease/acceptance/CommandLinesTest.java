package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What of a client's request a command is given: the path of a file that is there, as one argument, and nothing else. */
@KernelTest
class CommandLinesTest extends AgentProcessTest {

    private static final String HOSTILE = "--all; touch $(forged) `forged` \" ' \\ *";

    /** A losetup that notes its arguments, a line each, before it does what it is told. */
    private Map<String, String> notedIn(Path notes) throws IOException {
        Path bin = Files.createDirectory(home.resolve("bin"));
        Path script = bin.resolve("losetup");
        Files.writeString(script, """
                #!/bin/sh
                printf '%%s\\n' "$@" >> %s
                exec %s "$@"
                """.formatted(notes, Kernel.output("sh", "-c", "command -v losetup")));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        return Map.of("PATH", bin + ":" + System.getenv("PATH"));
    }

    @Test
    void haveOnlyThePathsOfFiles() throws IOException {
        Path notes = home.resolve("notes");
        Path files = Files.createDirectory(home.resolve("files"));
        Path file = files.resolve(HOSTILE);
        try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
            opened.setLength(MIB);
        }
        Agent agent = tracked(AgentProcess.start(
                        home, notedIn(notes), "--looplease.backend=losetup", "--looplease.image-roots=" + files))
                .serving();

        List<String> bodies = new ArrayList<>();
        for (String field : List.of("name", "imagePath", "leaseId", "allocation", "sizeMb", "sectorSize", "onExpiry")) {
            bodies.add(Agent.json("sizeBytes", MIB, field, HOSTILE));
        }
        bodies.add(Agent.json("imagePath", files + "/" + HOSTILE + "/none", "reuseFile", true));
        bodies.add(Agent.json("imagePath", "--all", "reuseFile", true));
        bodies.forEach(
                body -> assertThat(agent.send("POST", "/loop-devices", body).status())
                        .as(body)
                        .isBetween(400, 499));
        for (String method : List.of("GET", "PATCH", "DELETE")) {
            agent.send(method, "/loop-devices/" + Agent.encoded(HOSTILE).replace("+", "%20"), "{}");
        }
        agent.create("sizeMb", 1, "labels", Map.of("key", HOSTILE)).expect(201);
        Answer reused =
                agent.create("imagePath", file.toString(), "reuseFile", true).expect(201);
        agent.patch(reused.id(), "sizeBytes", 2 * MIB).expect(200);
        agent.delete(reused.id()).expect(204);

        List<String> noted = Files.readAllLines(notes);
        assertThat(noted)
                .filteredOn(argument -> argument.contains("forged") || argument.contains("--all"))
                .isNotEmpty()
                .isEqualTo(Collections.nCopies(1, file.toString()));
    }
}
