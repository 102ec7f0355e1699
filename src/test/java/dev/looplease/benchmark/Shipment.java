package dev.looplease.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The packaged agent, unpacked once as the container image has it. */
final class Shipment {

    private Shipment() {}

    /** A directory with {@code looplease.jar}. */
    static Path unpacked() throws IOException {
        Path jar = jar();
        return jar;
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
