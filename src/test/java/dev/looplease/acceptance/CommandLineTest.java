package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whoever mistypes a command is told so. The fault: he had a privileged agent instead. */
@KernelTest
class CommandLineTest extends AgentProcessTest {

    @ParameterizedTest
    @ValueSource(strings = {"tokn", "token", "-Dserver.port=0", "--", ""})
    void refusesWhatIsNoOptionAndNoCommand(String argument) throws IOException {
        AgentProcess process = start(argument);

        assertThat(process.ended(Duration.ofMinutes(1))).isEqualTo(2);
        assertThat(process.log()).contains("There is no command " + argument, "Usage: java -jar looplease.jar");
        assertThat(home.resolve("state")).doesNotExist();
    }
}
