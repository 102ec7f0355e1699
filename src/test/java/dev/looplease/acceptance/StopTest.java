package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.ForeignDevice;
import dev.looplease.KernelTest;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** How an agent starts and stops: what it answers meanwhile, and what it leaves. */
@KernelTest
class StopTest extends AgentProcessTest {

    private static final int SIGTERM_STATUS = 143;
    /** Kubernetes waits 30 s, systemd 90 s. */
    private static final Duration LONGEST_STOP = Duration.ofSeconds(20);

    // Standing still

    @Test
    void reapsNothingThatIsRenewedInTheGraceAfterAStandstill() throws IOException {
        AgentProcess process = start("--looplease.lease.grace=4s");
        Agent agent = process.serving();
        Answer renewed = agent.create("sizeMb", 1, "ttlSeconds", 2).expect(201);
        Answer forgotten = agent.create("sizeMb", 1, "ttlSeconds", 2).expect(201);
        process.signal("STOP");
        Instant stopped = Instant.now();
        soon().until(() -> Instant.now().isAfter(stopped.plusSeconds(4)));
        process.signal("CONT");
        Instant continued = Instant.now();

        // Halfway through the grace its holder has noticed, too.
        soon().until(() -> Instant.now().isAfter(continued.plusSeconds(2)));
        agent.renew(renewed.leaseId(), "ttlSeconds", 60).expect(200);

        soon().until(() -> agent.device(forgotten.id()).status() == 410);
        assertThat(Instant.now()).as("everybody has the grace").isAfter(continued.plusSeconds(4));
        assertThat(agent.device(renewed.id()).expect(200).text("state")).isEqualTo("READY");
        agent.delete(renewed.id()).expect(204);
        assertThat(process.log()).contains("stood still");
    }

    // Starting

    @Test
    void refusesToStartBesideAnotherAndSaysWhy() throws IOException {
        AgentProcess first = start();
        first.serving();

        AgentProcess second = start();

        assertThat(second.ended(Duration.ofMinutes(1))).isNotZero();
        assertThat(second.log())
                .contains("APPLICATION FAILED TO START")
                .contains(home.resolve("state").toString())
                .contains("in use")
                .doesNotContain("\tat dev.looplease");
        first.serving().create("sizeMb", 1).expect(201);
    }

    /** A losetup that first does something else. */
    private Map<String, String> losetup(String first) throws IOException {
        Path bin = Files.createDirectory(home.resolve("bin"));
        Path script = bin.resolve("losetup");
        Files.writeString(script, """
                #!/bin/sh
                %s
                exec %s "$@"
                """.formatted(first, Kernel.output("sh", "-c", "command -v losetup")));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        return Map.of("PATH", bin + ":" + System.getenv("PATH"));
    }

    /** One that answers the second question only when it is told to: the first is asked before the port opens. */
    private Map<String, String> slowLosetup(Path gate) throws IOException {
        return losetup("""
                case "$*" in *--version*) ;; *)
                  if ! mkdir %1$s/asked 2> /dev/null; then
                    until [ -e %1$s/open ]; do [ -d %1$s ] || exit 1; sleep 0.05; done
                  fi
                esac
                """.formatted(gate));
    }

    /** One that hangs in what is asked like that, as long as there is the directory {@code hung}; then it fails. */
    private Map<String, String> hangingLosetup(String question, Path hung) throws IOException {
        return losetup("""
                case "$*" in %s)
                  mkdir -p %2$s
                  while [ -d %2$s ]; do sleep 0.05; done
                  exit 1
                esac
                """.formatted(question, hung));
    }

    @Test
    void isAliveAndServesNothingWhileItRecovers() throws IOException {
        // Where nothing is attached, recovery has nothing to ask losetup for.
        try (ForeignDevice foreign = ForeignDevice.in(home)) {
            String before = foreign.look();
            Path gate = Files.createDirectory(home.resolve("gate"));
            AgentProcess process = tracked(AgentProcess.start(home, slowLosetup(gate), "--looplease.backend=losetup"));
            Agent agent = process.listening();

            agent.get("/livez").expect(200);
            for (String path :
                    List.of("/loop-devices", "/leases", "/host", "/readyz", "/actuator/health", "/nothing")) {
                assertThat(agent.get(path).refused(503, "recovering").headers().firstValue("Retry-After"))
                        .isPresent();
            }
            agent.create("sizeMb", 1).refused(503, "recovering");

            Files.createFile(gate.resolve("open"));
            soon().until(() -> agent.get("/readyz").status() == 200);
            assertThat(agent.items("/loop-devices?managed=true")).isEmpty();
            assertThat(foreign.look()).isEqualTo(before);
        }
    }

    // Stopping

    /** A request whose body is on its way: the agent has asked for it, and so works on it. */
    private static final class Unfinished implements AutoCloseable {
        private final Socket socket;
        private final BufferedReader in;
        private final String body;

        Unfinished(Agent agent, String method, String path, String body) throws IOException {
            this.body = body;
            socket = new Socket(InetAddress.getLoopbackAddress(), agent.port());
            socket.setSoTimeout(20_000);
            in = new BufferedReader(new InputStreamReader(socket.getInputStream(), UTF_8));
            send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + "Expect: 100-continue\r\nConnection: close\r\nContent-Length: " + body.length() + "\r\n\r\n");
            assertThat(in.readLine()).startsWith("HTTP/1.1 100");
            assertThat(in.readLine()).isEmpty();
        }

        private void send(String text) throws IOException {
            socket.getOutputStream().write(text.getBytes(UTF_8));
        }

        String finish() throws IOException {
            send(body);
            return in.readLine();
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    private static void refusesNewOnes(Agent agent) {
        Answer refused = soon().until(() -> agent.get("/leases"), answer -> answer.status() == 503);
        assertThat(refused.refused(503, "shutting-down").headers().firstValue("Retry-After"))
                .isPresent();
    }

    @Test
    void finishesWhatIsUnderWayRefusesWhatIsNewAndKeepsWhatIsLent() throws IOException {
        AgentProcess process = start();
        Agent agent = process.serving();
        Answer device = agent.create("sizeMb", 1).expect(201);
        try (Unfinished change = new Unfinished(
                        agent, "PATCH", "/loop-devices/" + device.id(), Agent.json("labels", Map.of("late", "yes")));
                Unfinished making = new Unfinished(agent, "POST", "/loop-devices", Agent.json("sizeMb", 2))) {
            process.signal("TERM");
            refusesNewOnes(agent);

            assertThat(change.finish()).startsWith("HTTP/1.1 200");
            assertThat(making.finish()).startsWith("HTTP/1.1 201");
        }
        assertThat(process.ended(LONGEST_STOP)).isEqualTo(SIGTERM_STATUS);
        assertThat(Kernel.bindingsBelow(home)).hasSize(2);

        Agent next = start().serving();
        assertThat(next.managed()).hasSize(2);
        Answer kept = next.device(device.id()).expect(200);
        assertThat(kept.text("state")).isEqualTo("READY");
        assertThat(kept.number("diskSeq")).isEqualTo(device.number("diskSeq"));
        assertThat(kept.field("labels").path("late").asString()).isEqualTo("yes");
    }

    @Test
    void endsInTimeWhateverHangsAndGivesEverythingBackIfToldTo() throws IOException {
        AgentProcess process = start("--looplease.on-shutdown=release");
        Agent agent = process.serving();
        agent.create("sizeMb", 1).expect(201);
        Answer group = agent.send("POST", "/leases", Agent.json("devices", List.of(Map.of("sizeMb", 1))))
                .expect(201);
        agent.send("POST", "/leases", Agent.json("labels", Map.of("empty", "yes")))
                .expect(201);
        Instant told;
        try (Unfinished hanging = new Unfinished(agent, "POST", "/loop-devices", Agent.json("sizeMb", 1))) {
            process.signal("TERM");
            told = Instant.now();
            refusesNewOnes(agent);
            process.ended(LONGEST_STOP);
            assertThat(hanging.socket.isConnected()).isTrue();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        assertThat(Duration.between(told, Instant.now())).isLessThan(LONGEST_STOP);
        assertThat(nothingIsLeft()).isTrue();

        Agent next = start().serving();
        assertThat(next.managed()).isEmpty();
        assertThat(next.items("/leases")).isEmpty();
        next.lease(group.id()).expect(404);
    }

    // Stopping while something hangs

    private static void endsInTime(AgentProcess process) {
        process.signal("TERM");
        process.ended(LONGEST_STOP);
    }

    @Test
    void endsInTimeThoughAReleaseHangs() throws IOException {
        Path hung = home.resolve("hung");
        AgentProcess process = tracked(AgentProcess.start(
                home,
                hangingLosetup("*--detach*", hung),
                "--looplease.backend=losetup",
                "--looplease.on-shutdown=release"));
        process.serving().create("sizeMb", 1).expect(201);

        endsInTime(process);

        assertThat(hung).exists();
        Files.delete(hung);
        Agent next = start("--looplease.backend=losetup").serving();
        soon().until(() -> next.managed().isEmpty());
        assertThat(nothingIsLeft()).isTrue();
    }

    @Test
    void endsInTimeThoughARequestHangs() throws Exception {
        Path hung = home.resolve("hung");
        AgentProcess process =
                tracked(AgentProcess.start(home, hangingLosetup("*--find*", hung), "--looplease.backend=losetup"));
        Agent agent = process.serving();
        Thread client = Thread.ofPlatform().start(() -> {
            try {
                agent.create("sizeMb", 1);
            } catch (RuntimeException cutOff) {
                // Whether it is answered is not what this is about.
            }
        });
        soon().until(() -> Files.exists(hung));

        endsInTime(process);

        client.join();
        Files.delete(hung);
        Agent next = start("--looplease.backend=losetup").serving();
        soon().until(() -> next.managed().isEmpty());
        assertThat(nothingIsLeft()).isTrue();
    }

    @Test
    void endsInTimeThoughItsRecoveryHangs() throws IOException {
        try (ForeignDevice foreign = ForeignDevice.in(home)) {
            String before = foreign.look();
            Path gate = Files.createDirectory(home.resolve("gate"));
            AgentProcess process = tracked(AgentProcess.start(home, slowLosetup(gate), "--looplease.backend=losetup"));
            process.listening().get("/leases").refused(503, "recovering");

            endsInTime(process);

            assertThat(foreign.look()).isEqualTo(before);
        }
    }

    /** The fault: Boot closes a context only when it has started, and until then nobody looked at the time. */
    @Test
    void endsInTimeThoughItHangsBeforeItsPortOpens() throws IOException {
        Path hung = home.resolve("hung");
        AgentProcess process =
                tracked(AgentProcess.start(home, hangingLosetup("*--list*", hung), "--looplease.backend=losetup"));
        soon().until(() -> Files.exists(hung));

        endsInTime(process);

        Files.delete(hung);
    }
}
