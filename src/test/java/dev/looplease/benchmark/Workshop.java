package dev.looplease.benchmark;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;

/** Where a benchmark works: a directory of its own, agents, rivals; all taken down at the end, last things first. */
final class Workshop implements Closeable {

    private final Path directory;
    private final Path images;
    private final Deque<Closeable> undo = new ArrayDeque<>();
    private int agents;

    Workshop() throws IOException {
        Path base = Files.createDirectories(Path.of("target", "benchmark").toAbsolutePath());
        directory = Files.createTempDirectory(base, "run-");
        images = Files.createDirectory(directory.resolve("images"));
        undo.push(() -> delete(directory));
    }

    Path directory() {
        return directory;
    }

    /** Where rivals put their images; on the same filesystem as the agents'. */
    Path images() {
        return images;
    }

    <T extends Closeable> T closing(T thing) {
        undo.push(thing);
        return thing;
    }

    /** An agent as it is shipped, in a state directory of its own. */
    AgentProcess agent(String... settings) throws IOException {
        Path home = Files.createDirectory(directory.resolve("agent-" + ++agents));
        return closing(AgentProcess.start(Shipment.prepared(), home, settings));
    }

    String run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        try {
            if (!process.waitFor(Duration.ofMinutes(2).toMillis(), TimeUnit.MILLISECONDS) || process.exitValue() != 0) {
                throw new IOException(String.join(" ", command) + ": " + output);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
        return output;
    }

    private static void delete(Path tree) throws IOException {
        Files.walkFileTree(tree, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path emptied, java.io.IOException failure) throws IOException {
                Files.delete(emptied);
                return FileVisitResult.CONTINUE;
            }
        });
    }

    @Override
    public void close() throws IOException {
        IOException failed = null;
        while (!undo.isEmpty()) {
            try {
                undo.pop().close();
            } catch (IOException | RuntimeException e) {
                failed = failed == null ? new IOException("not all is taken down") : failed;
                failed.addSuppressed(e);
            }
        }
        if (failed != null) {
            throw failed;
        }
    }
}
