package dev.looplease.losetup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.looplease.KernelTest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@KernelTest
class LosetupsTest {

    @TempDir
    Path empty;

    private LosetupIoctl brokenIoctl() {
        return new LosetupIoctl(empty, Path.of("/sys"));
    }

    private LosetupCommand brokenCommand() {
        return new LosetupCommand("no-such-losetup", Duration.ofSeconds(1), empty, Path.of("/sys"));
    }

    @Test
    void takesIoctlsWhereTheyWork() throws Exception {
        assertThat(Losetups.select(Backend.AUTO).backend()).isEqualTo("ioctl");
        assertThat(Losetups.select(Backend.IOCTL).backend()).isEqualTo("ioctl");
    }

    @Test
    void takesTheCommandWhereIoctlsDoNotWorkOrItIsAskedFor() throws Exception {
        assertThat(Losetups.select(Backend.AUTO, brokenIoctl(), new LosetupCommand())
                        .backend())
                .isEqualTo("losetup");
        assertThat(Losetups.select(Backend.LOSETUP).backend()).isEqualTo("losetup");
    }

    @Test
    void tellsLosetupsVersion() {
        assertThat(Losetups.commandVersion()).isPresent();
    }

    @Test
    void failsAtStartWhereWhatWasNamedDoesNotWork() {
        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> Losetups.select(Backend.IOCTL, brokenIoctl(), new LosetupCommand()))
                .withMessageContaining("loop-control");
        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> Losetups.select(Backend.LOSETUP, brokenIoctl(), brokenCommand()))
                .withMessageContainingAll("losetup cannot be used", "no-such-losetup");
    }

    /** There losetup tells of no device what it is bound to: what had just been attached stayed so for good. */
    @Test
    void failsAtStartWhereLosetupFindsNothingInSysfs() throws Exception {
        Path sys = Files.createDirectory(empty.resolve("sys"));
        Files.createDirectories(sys.resolve("dev/block"));
        Files.writeString(Files.createDirectories(sys.resolve("block/loop0")).resolve("dev"), "7:0\n");
        LosetupCommand blind = new LosetupCommand("losetup", LosetupCommand.TIMEOUT, Path.of("/dev"), sys);

        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> Losetups.select(Backend.LOSETUP, brokenIoctl(), blind))
                .withMessageContainingAll("losetup cannot be used", "/sys/dev/block is hidden");
    }

    @Test
    void startsAndSaysItInItsHealthWhereNothingWorksAndNothingWasNamed() throws Exception {
        assertThat(Losetups.select(Backend.AUTO, brokenIoctl(), brokenCommand()).backend())
                .isEqualTo("ioctl");
    }
}
