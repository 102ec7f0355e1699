package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Partitions that somebody added with BLKPG survive the detach of their device, and stand on the number's next image. */
@KernelTest
class StrayPartitionsTest extends HttpTest {

    @Test
    void showsNoPartitionsOfAnEarlierDeviceOnTheSameNumber() throws IOException {
        Path file = userFile("stranger", 8L * MIB);
        String name = foreign(file);
        Kernel.output("addpart", "/dev/" + name, "1", "2048", "4096");
        detachForeign(name, file);
        afterwards(() -> dropLeft(name));

        Answer device = agent.create("sizeMb", 4, "name", name);
        // Another program may be faster: then the number, and what stands on it, is that one's.
        assumeThat(device.status()).isNotEqualTo(409);

        assertThat(device.expect(201).list("partitions")).isEmpty();
        assertThat(Path.of("/sys/block", name, name + "p1")).doesNotExist();
        agent.delete(device.id()).expect(204);
    }

    private static void dropLeft(String name) {
        if (Files.exists(Path.of("/sys/block", name, name + "p1"))) {
            Kernel.output("delpart", "/dev/" + name, "1");
        }
    }
}
