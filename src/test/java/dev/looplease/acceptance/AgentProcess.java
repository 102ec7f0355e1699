package dev.looplease.acceptance;

import static org.awaitility.Awaitility.await;

import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.awaitility.core.ConditionFactory;

/** A whole agent in a process of its own, which can be stopped and killed, with its state in {@code home/state}. */
final class AgentProcess implements AutoCloseable {

    private static final Pattern PORT = Pattern.compile("Tomcat started on port (\\d+)");
    private static final Duration LONGEST_START = Duration.ofMinutes(2);

    private final Process process;
    private final Path log;

    private AgentProcess(Process process, Path log) {
        this.process = process;
        this.log = log;
    }

    /** Starts one, and waits for nothing. */
    static AgentProcess start(Path home, String... arguments) throws IOException {
        return start(home, Map.of(), arguments);
    }

    static AgentProcess start(Path home, Map<String, String> environment, String... arguments) throws IOException {
        return start(home, List.of(), environment, arguments);
    }

    /** @param through a command that in the end executes what follows it: {@code setpriv …} */
    static AgentProcess start(Path home, List<String> through, Map<String, String> environment, String... arguments)
            throws IOException {
        Path log = Files.createTempFile(home, "agent", ".log");
        List<String> command = new ArrayList<>(through);
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "--enable-native-access=ALL-UNNAMED",
                "-Dlooplease.auth=none",
                LoopleaseApplication.class.getName(),
                "--server.port=0",
                "--looplease.state-dir=" + home.resolve("state")));
        command.addAll(List.of(arguments));
        ProcessBuilder builder =
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        builder.environment().put("CLASSPATH", System.getProperty("java.class.path"));
        builder.environment().putAll(environment);
        return new AgentProcess(builder.start(), log);
    }

    private static ConditionFactory soon() {
        return await().atMost(LONGEST_START).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(20));
    }

    /** It, as soon as its port is open. */
    Agent listening() {
        soon().until(() -> port().find() || !process.isAlive());
        Matcher port = port();
        if (!port.find()) {
            throw new IllegalStateException("The agent has ended: " + log());
        }
        return new Agent(Integer.parseInt(port.group(1)), null);
    }

    /** It, as soon as it serves. */
    Agent serving() {
        Agent agent = listening();
        soon().until(() -> agent.get("/readyz").status() == 200);
        return agent;
    }

    private Matcher port() {
        return PORT.matcher(log());
    }

    /** What it has said so far. */
    String log() {
        try {
            return Files.readString(log);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Where HotSpot lets others read its counters, whatever the temporary directory is, unless it is told not to. */
    Path countersOfTheJvm() {
        return Path.of("/tmp", "hsperfdata_" + System.getProperty("user.name"), Long.toString(process.pid()));
    }

    /** SIGKILL; returns when the process is gone. */
    void kill() {
        process.destroyForcibly();
        ended(Duration.ofSeconds(20));
    }

    /** Sends any other signal: {@code STOP}, {@code CONT}, {@code TERM}. */
    void signal(String name) {
        Kernel.output("kill", "-" + name, Long.toString(process.pid()));
    }

    /** Waits until it has ended by itself; returns its exit status. */
    int ended(Duration atMost) {
        try {
            if (!process.waitFor(atMost.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("The agent still runs: " + log());
            }
            return process.exitValue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        kill();
    }
}
