package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Places inside an allowed root in which the system does not let even root do what was asked. */
@KernelTest
class ForbiddenPlacesTest extends HttpTest {

    private void refused(Answer answer, String... advice) {
        answer.refusedField("imagePath");
        assertThat(answer.texts("errors", "message")).singleElement().asString().contains(advice);
        assertThat(Kernel.bindingsBelow(home)).isEmpty();
    }

    /** The fault: a client's choice of a place was a 500 of the agent's. */
    @Test
    void aReadOnlyFilesystem() throws IOException {
        Path mount = Files.createDirectory(userFiles.resolve("read-only"));
        Kernel.output("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount.toString());
        afterwards(() -> unmount(mount));
        Path file = userFile("read-only/file.img", MIB);
        Kernel.output("mount", "-o", "remount,ro", mount.toString());

        refused(agent.create("sizeMb", 1, "imagePath", mount.toString()), "EROFS", "read-only");
        refused(agent.create("sizeMb", 1, "imagePath", mount.resolve("new.img").toString()), "EROFS");
        refused(agent.create("imagePath", file.toString(), "reuseFile", true), "EROFS", "readOnly");
        Answer device = created("imagePath", file.toString(), "reuseFile", true, "readOnly", true);
        assertThat(device.flag("readOnly")).isTrue();
        agent.delete(device.id()).expect(204);
        assertThat(file).exists();
    }

    @Test
    void aFileThatNobodyMayChange() {
        Path file = userFile("immutable.img", MIB);
        Kernel.output("chattr", "+i", file.toString());
        afterwards(() -> Kernel.output("chattr", "-i", file.toString()));

        refused(agent.create("imagePath", file.toString(), "reuseFile", true), "EPERM", "immutable");
        agent.delete(created("imagePath", file.toString(), "reuseFile", true, "readOnly", true)
                        .id())
                .expect(204);
    }

    @Test
    void aProgramThatRuns() throws IOException {
        Path program = Files.copy(Path.of("/bin/sleep"), userFiles.resolve("sleep"));
        Process running = new ProcessBuilder(program.toString(), "600").start();
        afterwards(() -> {
            running.destroyForcibly();
            running.onExit().join();
        });

        refused(agent.create("imagePath", program.toString(), "reuseFile", true), "ETXTBSY");
    }
}
