package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** Where nobody is asked for a token the agent listens on loopback only, and refuses to start anywhere else. */
@ExtendWith(OutputCaptureExtension.class)
class LoopbackOnlyTest {

    @TempDir
    private Path home;

    @ParameterizedTest
    @CsvSource({
        "server.address,            --server.address=0.0.0.0",
        "server.address,            --server.address=::",
        "server.address,            --server.address=192.0.2.1",
        "server.address,            --server.address=",
        "management.server.address, --management.server.port=0 --management.server.address=0.0.0.0",
        "management.server.address, --management.server.address=192.0.2.1",
        "management.server.address, --management.server.port=0"
    })
    void refusesToStart(String property, String arguments, CapturedOutput output) throws IOException {
        refuses("none", property, arguments, output);
    }

    /** The fault: what only Spring took for "none" was let start on every address, and everybody was an operator. */
    @ParameterizedTest
    @ValueSource(strings = {"none ", " none", "none\r", "NONE", "NO-NE", "n_o_n_e"})
    void howeverItIsWritten(String none, CapturedOutput output) throws IOException {
        refuses(none, "server.address", "--server.address=0.0.0.0", output);
    }

    private void refuses(String auth, String property, String arguments, CapturedOutput output) throws IOException {
        String[] all = Stream.concat(
                        Stream.of(
                                "--looplease.auth=" + auth,
                                "--server.port=0",
                                "--looplease.state-dir=" + home.resolve("state")),
                        Stream.of(arguments.split(" ", -1)))
                .toArray(String[]::new);

        assertThatThrownBy(() ->
                        SpringApplication.run(LoopleaseApplication.class, all).close())
                .hasStackTraceContaining(property);

        assertThat(output.getAll())
                .contains("APPLICATION FAILED TO START", property, "loopback", "127.0.0.1")
                .doesNotContain("\tat dev.looplease");
        assertThat(home).isEmptyDirectory();
    }
}
