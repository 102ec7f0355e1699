package dev.looplease.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The packaged agent, prepared once as the container image has it: unpacked, and with an AOT cache. */
final class Shipment {

    private static final Path PREPARED = Path.of("target", "benchmark", "app").toAbsolutePath();

    private Shipment() {}

    /** A directory with {@code looplease.jar} and {@code java.options}. */
    static synchronized Path prepared() throws IOException {
        Path jar = jar();
        Path stamp = PREPARED.resolve("of");
        String mark = jar + " " + Files.size(jar) + " "
                + Files.readAttributes(jar, "unix:ctime").get("ctime");
        if (!Files.exists(stamp) || !Files.readString(stamp).equals(mark)) {
            ProcessBuilder builder = new ProcessBuilder(
                            "bash", "packaging/prepare.sh", jar.toString(), PREPARED.toString())
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.INHERIT);
            builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
            try {
                if (builder.start().waitFor() != 0) {
                    throw new IOException("packaging/prepare.sh has failed; see above");
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException(e);
            }
            Files.writeString(stamp, mark);
        }
        return PREPARED;
    }

    private static Path jar() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("target"))) {
            List<Path> jars = files.filter(file -> file.getFileName().toString().matches("looplease-.*\\.jar"))
                    .toList();
            if (jars.size() != 1) {
                throw new IOException("there must be one target/looplease-*.jar: run the benchmark with -Pbenchmark");
            }
            return jars.getFirst().toAbsolutePath();
        }
    }
}
