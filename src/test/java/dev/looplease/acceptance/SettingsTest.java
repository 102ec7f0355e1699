package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** With settings that make no sense the agent does not start, and says why. The fault: a stack trace. */
@KernelTest
@ExtendWith(OutputCaptureExtension.class)
class SettingsTest {

    @TempDir
    private Path home;

    private void refuses(CapturedOutput output, String what, String advice, String... arguments) {
        String[] all = Stream.concat(
                        Stream.of("--server.port=0", "--looplease.state-dir=" + home.resolve("state")),
                        Stream.of(arguments))
                .toArray(String[]::new);

        assertThatThrownBy(() ->
                        SpringApplication.run(LoopleaseApplication.class, all).close())
                .hasStackTraceContaining(what);

        assertThat(output.getAll())
                .contains("APPLICATION FAILED TO START", what, advice)
                .doesNotContain("\tat dev.looplease");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--looplease.max-devices=-1              | looplease.max-devices must be at least 1, not -1.",
                "--looplease.lease.max-ttl=500ms         | looplease.lease.max-ttl PT0.5S is below lease.min-ttl PT1S.",
                "--looplease.lease.default-ttl=25h       | looplease.lease.default-ttl PT25H is not between",
                "--looplease.prepared-nodes=-1           | looplease.prepared-nodes",
                "--looplease.image-roots=/tmp,/not/there | looplease.image-roots names /not/there, which is no directory.",
                "--looplease.image-roots=/etc/passwd     | looplease.image-roots names /etc/passwd, which is no directory.",
            })
    void refusesSettingsBeforeAnythingIsTouched(String argument, String what, CapturedOutput output) {
        refuses(output, what, argument.contains("roots") ? "Make that directory" : "Change it", argument);
        assertThat(home).isEmptyDirectory();
    }

    @Test
    void refusesAnImagesDirectoryThatEverybodyMayWrite(CapturedOutput output) throws IOException {
        Path open = Files.createDirectory(home.resolve("open"));
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));

        refuses(
                output,
                "looplease.images-dir: the directory " + open + " is writable by everybody: chmod o-w it",
                "looplease.images-dir",
                "--looplease.images-dir=" + open);
        assertThat(open).isEmptyDirectory();
    }

    @Test
    void refusesAnImagesDirectoryAroundTheStateDirectory(CapturedOutput output) throws IOException {
        refuses(
                output,
                "looplease.images-dir: the directory " + home.toRealPath() + " holds "
                        + home.toRealPath().resolve("state"),
                "a directory of its own",
                "--looplease.images-dir=" + home);
    }

    @Test
    void refusesAStateDirectoryThatIsNone(CapturedOutput output) throws IOException {
        Files.writeString(home.resolve("state"), "");

        refuses(
                output,
                "looplease.state-dir: the state directory " + home.resolve("state") + " is no directory.",
                "Mend");
    }
}
