package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A client whose answers get lost, and whose agent is killed meanwhile, repeats itself until it knows. */
@KernelTest
class KillTest extends AgentProcessTest {

    private static final int TIMES = 10;
    private static final Set<Integer> KILLED_AFTER = Set.of(2, 5);

    @ParameterizedTest
    @CsvSource({"/loop-devices,ioctl", "/leases,losetup"})
    void theSameRequestTenTimesMakesOneThing(String path, String backend) throws IOException {
        String body = path.equals("/leases")
                ? Agent.json("devices", List.of(Map.of("sizeMb", 1), Map.of("sizeMb", 2)))
                : Agent.json("sizeMb", 1);
        int devices = path.equals("/leases") ? 2 : 1;
        Set<String> answered = new LinkedHashSet<>();
        AgentProcess process = start("--looplease.backend=" + backend);
        Agent agent = process.serving();
        for (int i = 0; i < TIMES; i++) {
            if (i % 2 == 0) {
                sendAndHangUp(agent, path, body);
            } else {
                Answer answer = agent.send("POST", path, body, "Idempotency-Key", "once");
                assertThat(answer.status())
                        .as("made, made before, or under way: %s", answer.body())
                        .isIn(201, 200, 409);
                if (answer.status() != 409) {
                    answered.add(answer.id());
                }
            }
            if (KILLED_AFTER.contains(i)) {
                process.kill();
                process = start("--looplease.backend=" + backend);
                agent = process.serving();
            }
        }

        Agent last = agent;
        Answer known = soon().until(
                        () -> last.send("POST", path, body, "Idempotency-Key", "once"),
                        answer -> answer.status() == 200);
        answered.add(known.id());
        assertThat(answered).as("whoever was answered was told of the same").hasSize(1);
        assertThat(last.managed()).hasSize(devices);
        assertThat(last.items("/leases")).hasSize(1);
        assertThat(Kernel.bindingsBelow(home)).hasSize(devices);
        assertThat(imageFiles()).hasSize(devices);
        last.send("POST", path, body.replace("1", "3"), "Idempotency-Key", "once")
                .refused(422, "idempotency-key-reused");
        last.send("DELETE", path + "/" + known.id(), null).expect(204);
        last.send("POST", path, body, "Idempotency-Key", "once").refused(410, "ended");
        assertThat(nothingIsLeft()).isTrue();
    }

    private static void sendAndHangUp(Agent agent, String path, String body) throws IOException {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), agent.port())) {
            socket.getOutputStream()
                    .write(("POST " + path + " HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: once\r\n"
                                    + "Content-Type: application/json\r\nContent-Length: " + body.length() + "\r\n\r\n"
                                    + body)
                            .getBytes(UTF_8));
        }
    }
}
