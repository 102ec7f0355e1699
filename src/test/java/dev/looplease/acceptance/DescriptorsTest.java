package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.springframework.test.context.TestPropertySource;

/** A question leaves no file open. */
@KernelTest
@TestPropertySource(properties = "looplease.backend=losetup")
class DescriptorsTest extends HttpTest {

    /** The fault: each look for the version of losetup opened sysfs, and never closed it. */
    @Test
    void whatIsAskedLeavesNoFileOpen() throws IOException {
        Answer device = created("sizeMb", 1);
        List<String> reads = List.of(
                "/host",
                "/readyz",
                "/actuator/health",
                "/actuator/prometheus",
                "/loop-devices",
                "/loop-devices/" + device.id(),
                "/loop-devices/" + device.id() + "/users",
                "/leases/" + device.leaseId());
        reads.forEach(read -> agent.get(read).expect(200));
        List<Path> before = openFiles();

        for (int i = 0; i < 5; i++) {
            reads.forEach(read -> agent.get(read).expect(200));
        }

        // Other agents of this process, kept for other tests, may have one open for a moment.
        soon().untilAsserted(() -> assertThat(openFiles()).hasSizeLessThanOrEqualTo(before.size()));
    }

    /** No sockets and pipes: those come and go. */
    private static List<Path> openFiles() throws IOException {
        List<Path> files = new ArrayList<>();
        for (Path descriptor : HttpTest.filesBelow(Path.of("/proc/self/fd"))) {
            if (Files.exists(descriptor)) {
                files.add(Files.readSymbolicLink(descriptor));
            }
        }
        files.removeIf(file -> !file.isAbsolute());
        return files;
    }
}
