package dev.looplease.ops;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.Mockito.mock;
import static org.mockito.Mockito.when;

import dev.looplease.KernelTest;
import dev.looplease.image.ImageStore;
import dev.looplease.journal.StateDirectory;
import dev.looplease.loop.Limits;
import dev.looplease.loop.LoopRegistry;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.LoopState;
import dev.looplease.loop.Recovery;
import dev.looplease.losetup.Losetup;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.Status;

/** What is wrong with the host and how to mend it; what takes the agent out of service and what does not. */
@KernelTest
class LoopDevicesHealthIndicatorTest {

    private static final Path CONTROL = Path.of("/dev/loop-control");

    @TempDir
    private Path directory;

    private Path mount;
    private ImageStore images;
    private StateDirectory state;
    private final LoopService service = mock(LoopService.class);
    private final Losetup losetup = mock(Losetup.class);

    @BeforeEach
    void mountAFilesystemOfItsOwn() throws Exception {
        mount = Files.createDirectory(directory.resolve("mount"));
        run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount.toString());
        images = new ImageStore(mount, List.of());
        Path stateMount = Files.createDirectory(directory.resolve("state"));
        run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", stateMount.toString());
        Files.setPosixFilePermissions(stateMount, PosixFilePermissions.fromString("rwx------"));
        state = StateDirectory.lock(stateMount);
        when(service.limits())
                .thenReturn(new Limits(
                        2,
                        OptionalLong.empty(),
                        OptionalLong.empty(),
                        Duration.ofHours(1),
                        Duration.ofSeconds(1),
                        Duration.ofHours(24),
                        false,
                        Duration.ofSeconds(10)));
        when(service.usage()).thenReturn(new LoopRegistry.Usage(1, 4096));
        when(service.count(any())).thenReturn(0L);
        when(service.recovered()).thenReturn(Optional.of(new Recovery.Report(1, 0, 0, 0, 0, 0, 0)));
        when(losetup.backend()).thenReturn("ioctl");
    }

    @AfterEach
    void unmount() throws Exception {
        images.close();
        run("umount", mount.toString());
        state.close();
        run("umount", state.path().toString());
    }

    private static void run(String... command) throws IOException, InterruptedException {
        assertThat(new ProcessBuilder(command).inheritIO().start().waitFor())
                .as(String.join(" ", command))
                .isZero();
    }

    private Health health(Path control) {
        return new LoopDevicesHealthIndicator(service, losetup, images, state, control).health();
    }

    @SuppressWarnings("unchecked")
    private static List<String> texts(Health health, String detail) {
        return (List<String>) health.getDetails().getOrDefault(detail, List.of());
    }

    private static void assertProblem(Health health, String... advice) {
        assertThat(health.getStatus()).isEqualTo(Status.DOWN);
        assertThat(texts(health, "problems")).singleElement().asString().contains(advice);
    }

    private static void assertWarning(Health health, String... advice) {
        assertThat(health.getStatus()).isEqualTo(Status.UP);
        assertThat(texts(health, "problems")).isEmpty();
        assertThat(texts(health, "warnings")).singleElement().asString().contains(advice);
    }

    @Test
    void hasNothingToSayOfAHealthyHost() {
        Health health = health(CONTROL);

        assertThat(health.getStatus()).isEqualTo(Status.UP);
        assertThat(texts(health, "problems")).isEmpty();
        assertThat(texts(health, "warnings")).isEmpty();
        assertThat(health.getDetails())
                .containsEntry("backend", "ioctl")
                .containsEntry("devices", 1)
                .containsEntry("maxDevices", 2)
                .containsEntry("totalBytes", 1024L * 1024);
    }

    @Test
    void missesTheDriver() {
        assertProblem(health(directory.resolve("loop-control")), "/dev/loop-control", "modprobe loop", "-v /dev:/dev");
    }

    @Test
    void mayNotUseTheDriver() throws Exception {
        Path control = Files.createFile(mount.resolve("loop-control"));
        run("mount", "--bind", "-o", "ro", mount.toString(), mount.toString());
        try {
            Health health = health(control);

            assertThat(health.getStatus()).isEqualTo(Status.DOWN);
            assertThat(texts(health, "problems"))
                    .anySatisfy(problem -> assertThat(problem).contains("as root", "--privileged"));
        } finally {
            run("umount", mount.toString());
        }
    }

    @Test
    void cannotWriteTheImagesDirectory() throws Exception {
        run("mount", "-o", "remount,ro", mount.toString());

        assertProblem(health(CONTROL), "images directory", "looplease.images-dir");
    }

    @Test
    void aNearlyFullDiskIsAWarning() throws Exception {
        Files.write(mount.resolve("file"), new byte[1000 * 1024]);

        assertWarning(health(CONTROL), "nearly full");
    }

    /** The fault: nothing could be made for want of room in the journal, and nobody was warned of that. */
    @Test
    void aNearlyFullDiskOfTheStateDirectoryIsAWarning() throws Exception {
        Files.write(state.path().resolve("file"), new byte[1000 * 1024]);

        assertWarning(health(CONTROL), "state directory", "nearly full", "looplease.state-dir");
    }

    @Test
    void aFullAgentStaysInService() {
        when(service.usage()).thenReturn(new LoopRegistry.Usage(2, 8192));

        assertWarning(health(CONTROL), "All 2 devices", "looplease.max-devices");
    }

    @Test
    void stuckDevicesAreAWarning() {
        when(service.count(LoopState.STUCK)).thenReturn(3L);

        assertWarning(health(CONTROL), "3 devices are stuck", "/loop-devices?state=STUCK");
        assertThat(health(CONTROL).getDetails()).containsEntry("stuckDevices", 3L);
    }

    @Test
    void whatTheLastStartLeftAloneIsAWarning() {
        when(service.recovered()).thenReturn(Optional.of(new Recovery.Report(0, 0, 0, 0, 0, 1, 2)));

        assertWarning(health(CONTROL), "1 records", "2 images or attachments");
    }
}
