package dev.looplease.benchmark;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A program that stays: it reads how many pairs to run, and prints a line with two durations for each. */
final class ProgramContender implements Contender {

    private final String name;
    private final Process process;
    private final BufferedReader in;
    private final BufferedWriter out;

    ProgramContender(String name, Map<String, String> environment, List<String> command) {
        this.name = name;
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
        builder.environment().putAll(environment);
        try {
            process = builder.start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        in = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
        out = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), UTF_8));
    }

    /** The C program, compiled here and now. */
    static Contender raw(Workshop shop, long imageBytes) throws IOException {
        Path program = shop.directory().resolve("raw");
        shop.run("gcc", "-O2", "-o", program.toString(), resource(shop, "raw.c").toString());
        return new ProgramContender(
                "raw ioctls in C",
                Map.of(),
                List.of(program.toString(), shop.images().toString(), Long.toString(imageBytes)));
    }

    /** A script of this package. */
    static Contender script(
            Workshop shop,
            String name,
            String interpreter,
            String script,
            long imageBytes,
            Map<String, String> environment)
            throws IOException {
        return new ProgramContender(
                name,
                environment,
                List.of(
                        interpreter,
                        resource(shop, script).toString(),
                        shop.images().toString(),
                        Long.toString(imageBytes)));
    }

    static Path resource(Workshop shop, String name) throws IOException {
        Path copy = shop.directory().resolve(name);
        try (InputStream in = ProgramContender.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IOException("no resource " + name);
            }
            Files.write(copy, in.readAllBytes());
        }
        return copy;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public void run(int pairs, Pairs into) throws IOException {
        out.write(pairs + "\n");
        out.flush();
        for (int i = 0; i < pairs; i++) {
            String line = in.readLine();
            if (line == null) {
                throw new IOException(name + " has ended; see above");
            }
            int space = line.indexOf(' ');
            into.add(Long.parseLong(line.substring(0, space)), Long.parseLong(line.substring(space + 1)));
        }
    }

    @Override
    public void close() throws IOException {
        out.close();
        try {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        in.close();
    }
}
