package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Whoever's token is taken away, or who gets one, need not wait for a restart. */
@KernelTest
class TokensChangeTest extends TokensTest {

    private static final String NEW = "a-token-that-was-made-later-0123456789";

    private void knowEverybodyAgainAfterwards() {
        afterwards(() -> {
            Tokens.write(home);
            soon().until(() -> agent.as(Tokens.ALICE).get("/leases").status() == 200);
        });
    }

    @Test
    void aChangedFileCountsWithoutARestart() throws IOException {
        Agent alice = agent.as(Tokens.ALICE);
        Agent carol = agent.as(NEW);
        Answer device = alice.create("sizeMb", 1).expect(201);
        carol.get("/leases").refused(401, "unauthorized");

        knowEverybodyAgainAfterwards();
        Path file = Tokens.write(home, Tokens.entry("carol", "user", NEW));
        Files.writeString(
                file,
                Files.readString(file).replace(Tokens.sha256(Tokens.ALICE), Tokens.sha256("another-token-of-hers")));

        soon().until(() -> carol.get("/leases").status() == 200);
        alice.get("/leases").refused(401, "unauthorized");
        carol.delete(device.id()).refused(403, "not-owner");
        agent.as("another-token-of-hers").delete(device.id()).expect(204);

        // What makes no sense changes nothing.
        Files.writeString(file, "tokens: [{name: mallory, role: king}]");
        carol.create("sizeMb", 0).refused(400, "invalid-request");
        carol.get("/leases").expect(200);
    }

    /** The fault: who had been in it was still let in, and nobody was told. */
    @Test
    void aFileThatIsGoneLetsNobodyIn() throws IOException {
        knowEverybodyAgainAfterwards();
        Path file = Tokens.write(home);
        Agent alice = agent.as(Tokens.ALICE);
        soon().until(() -> alice.get("/leases").status() == 200);

        Files.writeString(file, "tokens:\n- {name: mallory, name: root}\n");
        soon().until(() -> agent.get("/actuator/health").expect(200).body().contains("line 2: name is there twice"));
        alice.get("/leases").expect(200);

        Files.delete(file);
        soon().until(() -> alice.get("/leases").status() == 401);
        agent.get("/leases").refused(401, "unauthorized");
        agent.as(null).get("/actuator/health").expect(200);

        Tokens.write(home);
        soon().until(() -> alice.get("/leases").status() == 200);
        assertThat(agent.get("/actuator/health")
                        .expect(200)
                        .field("components")
                        .path("tokensFile")
                        .toString())
                .contains("\"warnings\":[]");
    }
}
