package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.looplease.KernelTest;
import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Instant;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;

/** The tokens file: what it says, what is wrong with it, and that a change of it counts without a restart. */
@ExtendWith(OutputCaptureExtension.class)
class TokensFileTest {

    private static final Quota DEFAULTS =
            new Quota(OptionalInt.of(5), OptionalLong.of(1000), OptionalInt.empty(), OptionalInt.of(7));
    private static final Callers CALLERS = new Callers(DEFAULTS, Caller.Sight.HIDDEN);
    private static final String ALICE = TokenText.next();
    private static final String BOB = TokenText.next();

    @TempDir
    private Path directory;

    private Path path;
    private TokensFile file;

    @BeforeEach
    void open() {
        path = directory.resolve("tokens.yaml");
        file = new TokensFile(path, new TokensYaml(CALLERS), Clock.systemUTC());
    }

    private static String entry(String name, String role, String token) {
        return "- {name: %s, role: %s, sha256: %s}\n"
                .formatted(name, role, Sha256.of(token).hex());
    }

    private void write(String entries) throws IOException {
        Path draft = directory.resolve("draft");
        Files.writeString(draft, "tokens:\n" + entries);
        Files.setPosixFilePermissions(draft, PosixFilePermissions.fromString("rw-------"));
        Files.move(draft, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    @Test
    void saysWhoMayDoWhat() throws IOException {
        write(entry("alice", "user", ALICE) + """
                - name: build 7
                  role: operator
                  certificate: build-7.example.org
                  expires: 2027-01-31T00:00:00Z
                  quota: {devices: 20, bytes: 50GB, leases: 3, requests-per-second: none}
                """);

        Credentials credentials = file.readIfChanged().orElseThrow();

        Caller alice = credentials.byToken(ALICE).orElseThrow().caller();
        assertThat(alice).isEqualTo(new Caller("alice", Caller.Role.USER, DEFAULTS, Caller.Sight.HIDDEN));
        Credential build = credentials.byCertificate("build-7.example.org").orElseThrow();
        assertThat(build.caller().role()).isEqualTo(Caller.Role.OPERATOR);
        assertThat(build.caller().sight()).isEqualTo(Caller.Sight.FULL);
        assertThat(build.caller().quota())
                .isEqualTo(new Quota(
                        OptionalInt.of(20), OptionalLong.of(50L << 30), OptionalInt.of(3), OptionalInt.empty()));
        assertThat(build.hasExpired(Instant.parse("2027-01-30T23:59:59Z"))).isFalse();
        assertThat(build.hasExpired(Instant.parse("2027-01-31T00:00:00Z"))).isTrue();
        assertThat(credentials.byToken(BOB)).isEmpty();
        assertThat(credentials.byToken("")).isEmpty();
        assertThat(credentials.byToken(Sha256.of(ALICE).hex()))
                .as("the hash is no token")
                .isEmpty();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "- {name: a, role: user}                                  | tokens[0]: needs sha256",
                "- {name: a, role: user, certificate: c, sha256: HASH}    | tokens[0]: needs sha256",
                "- {name: a, role: root, sha256: HASH}                    | tokens[0]: role",
                "- {name: a, role: USER, sha256: HASH}                    | tokens[0]: role",
                "- {role: user, sha256: HASH}                             | tokens[0]: name",
                "- {name: ~~, role: user, sha256: HASH}                   | tokens[0]",
                "- {name: \"a\\nb\", role: user, sha256: HASH}            | tokens[0]: name",
                "- {name: a, role: user, sha256: abc}                     | tokens[0]: sha256: must be 64",
                "- {name: a, role: user, sha256: HASH, expire: 2027}      | tokens[0]: there is no field expire",
                "- {name: a, role: user, sha256: HASH, expires: tomorrow} | tokens[0]: expires",
                "- {name: a, role: user, sha256: HASH, quota: {device: 1}}| tokens[0]: there is no field device",
                "- {name: a, role: user, sha256: HASH, quota: {devices: -1}} | tokens[0]: quota",
                "- {name: a, role: user, sha256: HASH, quota: {bytes: x}} | tokens[0]: bytes",
                "- {name: a, name: b, role: user, sha256: HASH}           | line 2: name is there twice",
                "- {name: a, role: user, HASH: 1, HASH: 2}                | line 2: a field is there twice",
                "- just text                                              | tokens[0]",
                "- {name: a, role: user, sha256: HASH                     | line 3: it is not YAML",
                "{a: b}                                                   | line 3: it is not YAML"
            })
    void saysWhatIsWrongAndWhereAndNoHash(String entries, String complaint) throws IOException {
        String hash = Sha256.of(ALICE).hex();
        write(entries.replace("HASH", hash) + "\n");

        assertThatThrownBy(() -> file.readIfChanged())
                .isInstanceOf(TokensFileException.class)
                .hasMessageContaining(path.toString())
                .hasMessageContaining(complaint)
                .message()
                .doesNotContain(hash);
    }

    @Test
    void refusesTheSameTokenTwice() throws IOException {
        write(entry("alice", "user", ALICE) + entry("mallory", "operator", ALICE));

        assertThatThrownBy(() -> file.readIfChanged()).hasMessageContaining("there twice");
    }

    @Test
    void isNotReadAgainWhileItIsTheSame() throws IOException {
        write(entry("alice", "user", ALICE));
        Files.setLastModifiedTime(path, FileTime.from(Instant.now().minusSeconds(60)));

        assertThat(file.readIfChanged()).isPresent();
        assertThat(file.readIfChanged()).isEmpty();
    }

    /** Whoever may write it makes himself an operator. */
    @Test
    void refusesAFileThatOthersMayWriteAndWarnsOfOneThatEverybodyMayRead(CapturedOutput output) throws IOException {
        write(entry("alice", "user", ALICE));
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-r--r--"));
        assertThat(file.readIfChanged()).isPresent();
        assertThat(output).contains("can be read by everybody");

        for (String open : List.of("rw----rw-", "rw-rw----")) {
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString(open));
            assertThatThrownBy(() -> file.readIfChanged()).hasMessageContaining("others than its owner may write");
        }
    }

    @Test
    @KernelTest
    void refusesAFileOfAnotherUsers() throws IOException {
        write(entry("alice", "user", ALICE));
        Files.setAttribute(path, "unix:uid", 65534);

        assertThatThrownBy(() -> file.readIfChanged()).hasMessageContaining("another user's");
    }

    @Test
    void aChangeCountsAndABrokenOneDoesNot(CapturedOutput output) throws IOException {
        write(entry("alice", "user", ALICE));
        CredentialStore store = new CredentialStore(file, new Credentials(List.of()));
        assertThat(store.byToken(ALICE)).isPresent();

        write(entry("bob", "user", BOB));
        await().until(() -> store.byToken(BOB).isPresent());
        assertThat(store.byToken(ALICE)).as("struck out").isEmpty();

        write("- nonsense\n");
        await().until(() -> {
            // It is looked at when somebody asks.
            assertThat(store.byToken(BOB)).isPresent();
            return output.toString().contains("What counted before still counts");
        });
        assertThat(store.byToken(BOB)).isPresent();

        Files.delete(path);
        write(entry("alice", "viewer", ALICE));
        await().until(() -> store.byToken(ALICE).isPresent());
        assertThat(store.byToken(BOB)).isEmpty();
        assertThat(output.toString())
                .doesNotContain(ALICE, BOB, Sha256.of(ALICE).hex());
    }

    /** Asks, as each request does, until the log has {@code times} lines with {@code text}. */
    private static void awaitLog(CredentialStore store, CapturedOutput output, String text, int times) {
        await().until(() -> {
            store.byToken(ALICE);
            return output.toString().lines().filter(line -> line.contains(text)).count() >= times;
        });
        assertThat(output.toString().lines().filter(line -> line.contains(text)))
                .hasSize(times);
    }

    /** The fault: all that had been in it still counted, and nothing was said. */
    @Test
    void nobodyIsLetInOnceItIsGone(CapturedOutput output) throws IOException {
        Credential first = Credential.ofToken(CALLERS.of("operator", Caller.Role.OPERATOR), Sha256.of(BOB));
        CredentialStore store = new CredentialStore(file, new Credentials(List.of(first)));
        write(entry("alice", "user", ALICE));
        Files.setLastModifiedTime(path, FileTime.from(Instant.now().minusSeconds(60)));
        await().until(() -> store.byToken(ALICE).isPresent());
        assertThat(store.complaint()).isEmpty();

        Path aside = directory.resolve("aside");
        Files.move(path, aside);
        await().until(() -> store.byToken(ALICE).isEmpty());
        assertThat(store.byToken(BOB)).as("the token of the first start").isEmpty();
        assertThat(store.complaint().orElseThrow()).contains(path.toString(), "is gone");
        write("- nonsense\n");
        awaitLog(store, output, "Nobody of it is let in.", 1);
        Files.delete(path);
        awaitLog(store, output, "is gone", 2);

        Files.move(aside, path);
        await().until(() -> store.byToken(ALICE).isPresent());
        assertThat(store.complaint()).isEmpty();
        assertThat(output.toString().lines().filter(line -> line.contains("ERROR")))
                .hasSize(3);
    }

    /** The fault: after one broken version no other mistake was told. */
    @Test
    void tellsEveryFurtherMistakeOnce(CapturedOutput output) throws IOException {
        write(entry("alice", "user", ALICE));
        CredentialStore store = new CredentialStore(file, new Credentials(List.of()));

        write("- {name: a, role: root}\n");
        awaitLog(store, output, "tokens[0]: role", 1);
        write("- {name: a, role: user}\n");
        awaitLog(store, output, "tokens[0]: needs sha256", 1);
        assertThat(store.complaint().orElseThrow()).contains("needs sha256", "What counted before still counts");
        write("- {name: a, role: root}\n");
        awaitLog(store, output, "tokens[0]: role", 2);

        assertThat(store.byToken(ALICE)).isPresent();
    }

    @Test
    void whatCountedBeforeEndsWhenAFileAppears() throws IOException {
        Credential first = Credential.ofToken(CALLERS.of("operator", Caller.Role.OPERATOR), Sha256.of(ALICE));
        CredentialStore store = new CredentialStore(file, new Credentials(List.of(first)));
        assertThat(store.byToken(ALICE)).contains(first);

        write(entry("bob", "user", BOB));

        await().until(() -> store.byToken(BOB).isPresent());
        assertThat(store.byToken(ALICE)).isEmpty();
    }
}
