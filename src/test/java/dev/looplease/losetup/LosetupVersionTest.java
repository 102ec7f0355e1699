package dev.looplease.losetup;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LosetupVersionTest {

    @TempDir
    private Path directory;

    private long now;

    private LosetupVersion of(Path program) {
        return new LosetupVersion(new CommandRunner(program.toString(), LosetupCommand.TIMEOUT), () -> now);
    }

    @ParameterizedTest
    @CsvSource({
        "losetup from util-linux 2.38.1, 2.38.1",
        "losetup from util-linux 2.41-rc1, 2.41-rc1",
        "losetup (util-linux-ng 2.17.2), 2.17.2",
        "BusyBox v1.36.1 multi-call binary, "
    })
    void readsTheVersion(String output, String version) {
        assertThat(LosetupVersion.in(output).orElse(null)).isEqualTo(version);
    }

    /** Whoever asks whether the agent is ready has no token, and each question was a process. */
    @Test
    void looksOnceInTenSecondsAndNoticesThatTheProgramIsGone() throws IOException {
        Path asked = directory.resolve("asked");
        Path program = Files.writeString(
                directory.resolve("losetup"),
                "#!/bin/sh\necho >> %s\necho losetup from util-linux 2.38.1\n".formatted(asked));
        Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
        LosetupVersion version = of(program);

        for (int i = 0; i < 5; i++) {
            assertThat(version.get()).contains("2.38.1");
        }
        assertThat(asked).hasSize(1);

        Files.delete(program);
        now += Duration.ofSeconds(10).toNanos();
        assertThat(version.get()).isEmpty();
    }
}
