package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** An operator who allows a directory around the agent's own files does not lend those out. */
@KernelTest
class OwnFilesTest extends AgentProcessTest {

    @Test
    void areNobodysImages() throws IOException {
        Path tokens = Tokens.write(home);
        Agent agent = start("--looplease.image-roots=" + home, "--looplease.tokens-file=" + tokens)
                .serving();
        Path journal = home.resolve("state/journal");
        assertThat(journal).exists();
        Path disk = Files.write(home.resolve("state/disk"), new byte[1024]);

        for (Path own : new Path[] {journal, disk, tokens}) {
            agent.create("imagePath", own.toString(), "reuseFile", true, "readOnly", true)
                    .refusedField("imagePath");
        }
        agent.create("sizeMb", 1, "imagePath", home + "/state/").refusedField("imagePath");
        agent.create("sizeMb", 1, "imagePath", home + "/state/new").refusedField("imagePath");
        Answer elsewhere =
                agent.create("sizeMb", 1, "imagePath", home + "/disk").expect(201);
        agent.delete(elsewhere.id()).expect(204);
        Answer amongImages =
                agent.create("sizeMb", 1, "imagePath", images + "/disk").expect(201);
        agent.delete(amongImages.id()).expect(204);
    }
}
