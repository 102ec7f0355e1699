package dev.looplease.benchmark;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** udisksd with a message bus and a udevd of its own, so that the host's are left alone; see udisksd.sh. */
final class Udisks {

    private static final Path DAEMON = Path.of("/usr/libexec/udisks2/udisksd");
    private static final Duration PATIENCE = Duration.ofSeconds(15);

    private Udisks() {}

    /** Empty, and the report says why, where it cannot run. */
    static Optional<Contender> start(Workshop shop, long imageBytes, Report report) {
        try {
            return Optional.of(start(shop, imageBytes));
        } catch (IOException e) {
            report.say("Left out: udisksctl cannot run here (Debian: udisks2, dbus): " + e.getMessage() + "\n");
            return Optional.empty();
        }
    }

    private static Contender start(Workshop shop, long imageBytes) throws IOException {
        if (!Files.exists(DAEMON)) {
            throw new IOException("no " + DAEMON);
        }
        Path socket = shop.directory().resolve("bus");
        Path config = Files.writeString(shop.directory().resolve("bus.conf"), configuration(socket));
        Map<String, String> environment = Map.of("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=" + socket);
        Path script = ProgramContender.resource(shop, "udisksd.sh");
        shop.closing(session(shop, environment, script, config));
        await(() -> Files.exists(socket), "the bus does not open");
        Contender udisks =
                shop.closing(ProgramContender.script(shop, "udisksctl", "bash", "udisks.sh", imageBytes, environment));
        await(() -> answers(environment), "udisksd does not answer");
        return udisks;
    }

    private static String configuration(Path socket) {
        return """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>system</type>
              <listen>unix:path=%s</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/>
                <allow own="*"/>
                <allow send_destination="*" eavesdrop="true"/>
                <allow eavesdrop="true"/>
              </policy>
            </busconfig>
            """.formatted(socket);
    }

    private static boolean answers(Map<String, String> environment) throws IOException {
        ProcessBuilder builder = new ProcessBuilder("udisksctl", "status")
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD);
        builder.environment().putAll(environment);
        try {
            return builder.start().waitFor() == 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private static void await(Condition condition, String otherwise) throws IOException {
        long began = System.nanoTime();
        while (!condition.holds()) {
            if (System.nanoTime() - began > PATIENCE.toNanos()) {
                throw new IOException(otherwise);
            }
            LockSupport.parkNanos(10_000_000);
        }
    }

    /** It ends when its input is closed. */
    private static Closeable session(Workshop shop, Map<String, String> environment, Path script, Path config)
            throws IOException {
        ProcessBuilder builder = new ProcessBuilder(
                        "unshare",
                        "--mount",
                        "--net",
                        "bash",
                        script.toString(),
                        shop.directory().toString(),
                        config.toString())
                .redirectErrorStream(true)
                .redirectOutput(shop.directory().resolve("udisks.log").toFile());
        builder.environment().putAll(environment);
        Process process = builder.start();
        return () -> {
            process.getOutputStream().close();
            try {
                if (!process.waitFor(10, TimeUnit.SECONDS)) {
                    process.descendants().forEach(ProcessHandle::destroyForcibly);
                    process.destroyForcibly();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
    }
}
