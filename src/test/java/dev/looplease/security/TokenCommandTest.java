package dev.looplease.security;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.StringReader;
import java.time.Instant;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code java -jar looplease.jar token} prints, the agent can read. */
class TokenCommandTest {

    private record Outcome(int status, String out, String err) {}

    private static Outcome run(String in, String... arguments) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int status = new TokenCommand(
                        new StringReader(in), new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8))
                .run(List.of(arguments));
        return new Outcome(status, out.toString(UTF_8), err.toString(UTF_8));
    }

    private static Credential read(String output, String token) {
        String entry = output.substring(output.indexOf("- name"));
        return new TokensYaml(new Callers(Quota.NONE, Caller.Sight.REDACTED))
                .parse("tokens:\n" + entry)
                .byToken(token)
                .orElseThrow();
    }

    @Test
    void makesATokenAndItsEntry() throws IOException {
        Outcome made = run("", "--name", "build 7", "--role", "user", "--expires", "2027-01-31T00:00:00Z");

        assertThat(made.status()).isZero();
        assertThat(made.err()).isEmpty();
        Matcher tokens = Pattern.compile("looplease_[A-Za-z0-9_-]{43}").matcher(made.out());
        assertThat(tokens.find()).as(made.out()).isTrue();
        Credential credential = read(made.out(), tokens.group());
        assertThat(credential.caller().name()).isEqualTo("build 7");
        assertThat(credential.caller().role()).isEqualTo(Caller.Role.USER);
        assertThat(credential.expireTime()).isEqualTo(Instant.parse("2027-01-31T00:00:00Z"));
        assertThat(tokens.find()).as("it is shown once").isFalse();
    }

    @Test
    void hashesATokenOfAnotherMaker() throws IOException {
        String token = "0123456789abcdef0123456789abcdef";

        assertThat(run(token + "\n", "hash"))
                .isEqualTo(new Outcome(0, Sha256.of(token).hex() + "\n", ""));
        Outcome entry = run(token + "\n", "hash", "--name", "vault", "--role", "viewer");
        assertThat(read(entry.out(), token).caller().name()).isEqualTo("vault");
        assertThat(entry.out()).doesNotContain(token);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "--name",
                "--name a",
                "--role user",
                "--name a --role root",
                "--name a\"b --role user",
                "--name a --role user --expires tomorrow",
                "--name a --role user --quota 3",
                "hash"
            })
    void saysHowItIsUsed(String arguments) throws IOException {
        Outcome outcome = run("short\n", arguments.isEmpty() ? new String[0] : arguments.split(" ", -1));

        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.out()).isEmpty();
        assertThat(outcome.err()).contains("token --name NAME --role");
    }
}
