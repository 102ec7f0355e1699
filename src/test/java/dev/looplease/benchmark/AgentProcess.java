package dev.looplease.benchmark;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** An agent in a process of its own, on a free port. Its end gives back all that it lends. */
final class AgentProcess implements Closeable {

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final Process process;
    private final int port;
    private final Path home;
    private long nanosToFirstAnswer;

    private AgentProcess(Process process, int port, Path home) {
        this.process = process;
        this.port = port;
        this.home = home;
    }

    static AgentProcess start(Path app, Path home, String... settings) throws IOException {
        int port = freePort();
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("@" + app.resolve("java.options"));
        command.addAll(List.of("-jar", app.resolve("looplease.jar").toString()));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(home.resolve("log").toFile());
        builder.environment().put("LOGGING_STRUCTURED_FORMAT_CONSOLE", "ecs");
        builder.environment().put("SERVER_PORT", Integer.toString(port));
        builder.environment().put("LOOPLEASE_STATE_DIR", home.resolve("state").toString());
        builder.environment().put("LOOPLEASE_ON_SHUTDOWN", "release");
        for (int i = 0; i < settings.length; i += 2) {
            builder.environment().put(settings[i], settings[i + 1]);
        }
        long began = System.nanoTime();
        AgentProcess agent = new AgentProcess(builder.start(), port, home);
        try {
            agent.awaitReady(began);
        } catch (IOException e) {
            agent.close();
            throw e;
        }
        return agent;
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private void awaitReady(long began) throws IOException {
        while (System.nanoTime() - began < PATIENCE.toNanos()) {
            if (!process.isAlive()) {
                throw new IOException("the agent has ended: " + Files.readString(home.resolve("log")));
            }
            try (Client client = new Client(port, null)) {
                if (client.send("GET", "/readyz", null).status() == 200) {
                    nanosToFirstAnswer = System.nanoTime() - began;
                    return;
                }
            } catch (IOException notYet) {
                LockSupport.parkNanos(1_000_000);
            }
            LockSupport.parkNanos(1_000_000);
        }
        throw new IOException("the agent is not ready after " + PATIENCE);
    }

    long nanosToFirstAnswer() {
        return nanosToFirstAnswer;
    }

    Client connect() throws IOException {
        return new Client(port, token());
    }

    private @Nullable String token() throws IOException {
        Path file = home.resolve("state").resolve("token");
        return Files.exists(file) ? Files.readString(file).strip() : null;
    }

    /** How many devices it lends, by its metrics. */
    long leased() throws IOException {
        try (Client client = connect()) {
            client.expect(200, "GET", "/host", null);
            String body = client.body();
            int at = body.indexOf("\"usedDevices\":");
            if (at < 0) {
                throw new IOException("no usedDevices in " + body);
            }
            int begin = at + "\"usedDevices\":".length();
            int end = begin;
            while (Character.isDigit(body.charAt(end))) {
                end++;
            }
            return Long.parseLong(body.substring(begin, end));
        }
    }

    /**
     * Waits until it has removed the loop devices that it added, if there are many more than there were.
     *
     * @param before how many there were
     */
    void awaitPruned(long before) throws IOException {
        String text = "loop devices removed";
        long began = System.nanoTime();
        while (Report.loopDevices() > before + 100
                && !Files.readString(home.resolve("log")).contains(text)) {
            if (System.nanoTime() - began > Duration.ofMinutes(10).toNanos()) {
                throw new IOException("its log never says: " + text);
            }
            LockSupport.parkNanos(200_000_000);
        }
    }

    /** What of its memory is in use now. */
    long residentBytes() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/" + process.pid() + "/status"))) {
            return lines.filter(line -> line.startsWith("VmRSS:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
                    .findFirst()
                    .orElse(0);
        }
    }

    @Override
    public void close() throws IOException {
        process.destroy();
        try {
            if (!process.waitFor(60, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IOException("the agent had to be killed");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
