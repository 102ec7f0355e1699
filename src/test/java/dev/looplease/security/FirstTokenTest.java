package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** The token that an agent makes itself. */
@ExtendWith(OutputCaptureExtension.class)
class FirstTokenTest {

    private static final Callers CALLERS = new Callers(Quota.NONE, Caller.Sight.REDACTED);

    @TempDir
    private Path directory;

    @Test
    void isMadeOnceForRootAloneAndNeverSaid(CapturedOutput output) throws IOException {
        Credential made = FirstToken.in(directory, CALLERS);

        Path file = directory.resolve("token");
        String token = Files.readString(file).strip();
        assertThat(TokenText.isToken(token)).isTrue();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
        assertThat(made.token()).contains(Sha256.of(token));
        assertThat(made.caller().role()).isEqualTo(Caller.Role.OPERATOR);
        assertThat(FirstToken.in(directory, CALLERS)).isEqualTo(made);
        assertThat(directory).isDirectoryContaining("glob:**/token").isDirectoryNotContaining("glob:**/token.new");
        assertThat(output).contains(file.toString()).doesNotContain(token);
    }

    /** The fault: an agent killed while it wrote left an empty token, which then let everybody in, or nobody. */
    @Test
    void aDraftThatAKilledAgentLeftIsNoToken() throws IOException {
        Files.writeString(directory.resolve("token.new"), "looplease_half");

        FirstToken.in(directory, CALLERS);

        assertThat(TokenText.isToken(
                        Files.readString(directory.resolve("token")).strip()))
                .isTrue();
        assertThat(directory).isDirectoryNotContaining("glob:**/token.new");
    }

    /** Whoever may write it may put a token of his own there. */
    @Test
    void oneThatOthersMayWriteIsRefused() throws IOException {
        FirstToken.in(directory, CALLERS);
        Files.setPosixFilePermissions(directory.resolve("token"), PosixFilePermissions.fromString("rw-rw----"));

        assertThatThrownBy(() -> FirstToken.in(directory, CALLERS)).hasMessageContaining("may write");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "secret", "looplease_short"})
    void somethingElseInItsPlaceIsRefused(String text) throws IOException {
        Files.writeString(directory.resolve("token"), text);

        assertThatThrownBy(() -> FirstToken.in(directory, CALLERS)).hasMessageContaining("holds no token");
    }
}
