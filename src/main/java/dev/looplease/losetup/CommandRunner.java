package dev.looplease.losetup;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs one program with bounded patience: no shell, nothing on its standard input, messages in English, both outputs
 * read while it runs, so that it cannot block on a full pipe.
 */
final class CommandRunner {

    /** How long a killed child may take to die before it is left to itself; longer only inside the kernel. */
    private static final Duration DYING = Duration.ofSeconds(2);

    private final String program;
    private final Duration timeout;

    CommandRunner(String program, Duration timeout) {
        this.program = program;
        this.timeout = timeout;
    }

    /** @param exit the exit code; meaningless after a time-out */
    record Result(boolean timedOut, int exit, String out, String err) {

        /** What it had to say on standard error, in one line. */
        String complaint() {
            return err.isBlank() ? "exit code " + exit : err.strip().replace('\n', ' ');
        }
    }

    Result run(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>();
        command.add(program);
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command);
        // Nothing else of our environment is the child's business.
        String path = Objects.requireNonNullElse(System.getenv("PATH"), "/usr/sbin:/usr/bin:/sbin:/bin");
        Map<String, String> environment = builder.environment();
        environment.clear();
        environment.put("PATH", path);
        environment.put("LC_ALL", "C");
        builder.redirectInput(Path.of("/dev/null").toFile());

        Process process = builder.start();
        CompletableFuture<String> out = drain(process.getInputStream());
        CompletableFuture<String> err = drain(process.getErrorStream());
        CompletableFuture<Process> done =
                CompletableFuture.allOf(out, err).thenCombine(process.onExit(), (nothing, exited) -> exited);
        if (!await(done, timeout)) {
            // Its children too: they hold the pipes.
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
            await(done, DYING);
            return new Result(true, -1, out.getNow(""), err.getNow(""));
        }
        return new Result(false, process.exitValue(), out.join(), err.join());
    }

    private static CompletableFuture<String> drain(InputStream stream) {
        CompletableFuture<String> text = new CompletableFuture<>();
        Thread.ofVirtual().name("losetup-output").start(() -> {
            try (stream) {
                text.complete(new String(stream.readAllBytes(), StandardCharsets.UTF_8));
            } catch (IOException e) {
                text.completeExceptionally(e);
            }
        });
        return text;
    }

    /**
     * Waits without heeding interrupts: the wait is short and bounded, and to leave earlier would mean not to know
     * what the command has bound. The interrupt is handed on.
     */
    private static boolean await(CompletableFuture<?> done, Duration patience) {
        boolean interrupted = false;
        long deadline = System.nanoTime() + patience.toNanos();
        try {
            while (true) {
                try {
                    done.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
                    return true;
                } catch (InterruptedException e) {
                    interrupted = true;
                } catch (TimeoutException e) {
                    return false;
                } catch (ExecutionException e) {
                    throw new UncheckedIOException("its output cannot be read", new IOException(e.getCause()));
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
