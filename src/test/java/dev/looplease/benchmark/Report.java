package dev.looplease.benchmark;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Tables in Markdown, with the machine above them; printed, and kept in {@code target/benchmark}. */
final class Report {

    private final StringBuilder text = new StringBuilder();

    Report(String title, Workshop shop) throws IOException {
        say("## " + title + "\n");
        say(machine(shop) + "\n");
    }

    private static String machine(Workshop shop) throws IOException {
        String commit = shop.run("git", "describe", "--always", "--dirty", "--exclude=*")
                .strip();
        return "%s, commit %s: %d CPUs (%s), Linux %s, JDK %s, %d loop devices before, load %s before."
                .formatted(
                        Instant.now().truncatedTo(ChronoUnit.MINUTES),
                        commit,
                        Runtime.getRuntime().availableProcessors(),
                        first(Path.of("/proc/cpuinfo"), "model name"),
                        System.getProperty("os.version"),
                        Runtime.version(),
                        loopDevices(),
                        Files.readString(Path.of("/proc/loadavg")).split(" ", 2)[0]);
    }

    private static String first(Path file, String key) throws IOException {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> line.startsWith(key))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse("unknown");
        }
    }

    /** What the kernel has, bound or not: it slows down with them. */
    static long loopDevices() throws IOException {
        try (Stream<Path> names = Files.list(Path.of("/sys/block"))) {
            return names.filter(name -> name.getFileName().toString().startsWith("loop"))
                    .count();
        }
    }

    void say(String line) {
        PrintStream out = System.out;
        out.println(line);
        out.flush();
        text.append(line).append('\n');
    }

    /** Rows of cells; the first has the headings. */
    void table(List<List<String>> rows) {
        int columns = rows.getFirst().size();
        int[] widths = IntStream.range(0, columns)
                .map(column -> rows.stream()
                        .mapToInt(row -> row.get(column).length())
                        .max()
                        .orElse(1))
                .toArray();
        List<List<String>> all = new ArrayList<>(rows);
        all.add(
                1,
                IntStream.range(0, columns)
                        .mapToObj(column -> "-".repeat(Math.max(2, widths[column] - 1)) + (column == 0 ? "-" : ":"))
                        .toList());
        for (List<String> row : all) {
            say(IntStream.range(0, columns)
                    .mapToObj(column -> String.format(
                            Locale.ROOT,
                            "%" + (column == 0 ? "-" : "") + Math.max(1, widths[column]) + "s",
                            row.get(column)))
                    .collect(Collectors.joining(" | ", "| ", " |")));
        }
        say("");
    }

    /** Keeps it. */
    void save(String name) throws IOException {
        Path file = Path.of("target", "benchmark", name + ".md");
        Files.createDirectories(Path.of("target", "benchmark"));
        Files.writeString(file, text.toString(), StandardCharsets.UTF_8);
    }
}
