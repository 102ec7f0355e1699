package dev.looplease.journal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.awaitility.Awaitility.await;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {

    @TempDir
    Path directory;

    private Path file() {
        return directory.resolve("journal");
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    /** Arrays have no equals: text compares. */
    static Map<String, String> text(Map<String, byte[]> records) {
        Map<String, String> text = new HashMap<>();
        records.forEach((key, value) -> text.put(key, new String(value, UTF_8)));
        return text;
    }

    private Map<String, String> reopened() throws IOException {
        try (Journal journal = Journal.open(file())) {
            assertThat(journal.damage()).isEmpty();
            return text(journal.live());
        }
    }

    @Test
    void keepsTheLastValueOfEachKeyThatWasNotStruckOut() throws IOException {
        try (Journal journal = Journal.open(file())) {
            assertThat(journal.live()).isEmpty();
            journal.put("lease/a", bytes("1"), Durability.MEMORY);
            journal.put("lease/b", bytes("1"), Durability.DISK);
            journal.put("lease/a", bytes("2"), Durability.DISK);
            journal.put("lease/c", bytes(""), Durability.MEMORY);
            journal.remove("lease/b", Durability.DISK);
            assertThat(text(journal.live())).isEqualTo(Map.of("lease/a", "2", "lease/c", ""));
        }
        assertThat(reopened()).isEqualTo(Map.of("lease/a", "2", "lease/c", ""));
    }

    @Test
    void strikingOutWhatIsNotThereIsASuccess() throws IOException {
        try (Journal journal = Journal.open(file())) {
            long before = journal.stats().fileBytes();
            journal.remove("nobody", Durability.MEMORY);
            journal.remove("nobody", Durability.DISK);
            assertThat(journal.stats().fileBytes()).isEqualTo(before);
        }
    }

    @Test
    void aStruckOutKeyMayComeBack() throws IOException {
        try (Journal journal = Journal.open(file())) {
            journal.put("a", bytes("1"), Durability.MEMORY);
            journal.remove("a", Durability.MEMORY);
            journal.put("a", bytes("2"), Durability.MEMORY);
        }
        assertThat(reopened()).isEqualTo(Map.of("a", "2"));
    }

    @Test
    void takesKeysAndValuesUpToTheirLimitsAndNamesTheLimitBeyond() throws IOException {
        String longest = "k".repeat(255);
        byte[] largest = bytes("v".repeat(1 << 20));
        try (Journal journal = Journal.open(file())) {
            journal.put(longest, largest, Durability.MEMORY);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> journal.put(longest + "k", largest, Durability.MEMORY))
                    .withMessageContaining("1 to 255");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> journal.remove("", Durability.MEMORY))
                    .withMessageContaining("1 to 255");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> journal.put("clé", largest, Durability.MEMORY))
                    .withMessageContaining("ASCII");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> journal.put("a", new byte[(1 << 20) + 1], Durability.MEMORY))
                    .withMessageContaining("1048576");
        }
        assertThat(reopened()).isEqualTo(Map.of(longest, "v".repeat(1 << 20)));
    }

    @Test
    void keepsACopyOfWhatItIsGivenAndGivesCopies() throws IOException {
        try (Journal journal = Journal.open(file())) {
            byte[] value = bytes("1");
            journal.put("a", value, Durability.MEMORY);
            value[0] = 'x';
            journal.live().values().forEach(copy -> copy[0] = 'y');
            assertThat(text(journal.live())).isEqualTo(Map.of("a", "1"));
        }
    }

    @Test
    void isUnusedOnceClosed() throws IOException {
        Journal journal = Journal.open(file());
        journal.close();
        journal.close();
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> journal.put("a", bytes("1"), Durability.MEMORY));
    }

    @Test
    void writesTheLogAnewWhenMostOfItIsSuperseded() throws IOException {
        Map<String, String> expected = new HashMap<>();
        try (Journal journal = Journal.open(file())) {
            for (int i = 0; i < 10_000; i++) {
                String value = i + "x".repeat(500);
                expected.put("key" + i % 10, value);
                journal.put("key" + i % 10, bytes(value), Durability.MEMORY);
                if (i % 2500 == 2499) {
                    int compactions = (i + 1) / 2500;
                    await().until(() -> journal.stats().compactions() >= compactions);
                }
            }
            await().until(() -> journal.stats().fileBytes() < Journal.COMPACT_ABOVE_BYTES + 1000);
            assertThat(journal.stats().liveRecords()).isEqualTo(10);
        }
        assertThat(reopened()).isEqualTo(expected);
        assertThat(directory).isDirectoryNotContaining("glob:**.new");
    }

    @Test
    void aLogOfManyLiveRecordsIsNotWrittenAnewOverAndOver() throws IOException {
        try (Journal journal = Journal.open(file())) {
            for (int i = 0; i < 5000; i++) {
                journal.put("key" + i, new byte[500], Durability.MEMORY);
            }
            assertThat(journal.stats().compactions()).isZero();
        }
    }

    @Test
    void openingLeavesExactlyTheLiveRecords() throws IOException {
        try (Journal journal = Journal.open(file())) {
            journal.put("a", bytes("1"), Durability.MEMORY);
            journal.put("a", bytes("2"), Durability.MEMORY);
        }
        try (Journal journal = Journal.open(file())) {
            Journal.Stats stats = journal.stats();
            assertThat(stats.fileBytes()).isEqualTo(LogFormat.HEADER_BYTES + stats.liveBytes());
            assertThat(Files.size(file())).isEqualTo(stats.fileBytes());
        }
    }

    @Test
    void aCompactionThatFailsIsRetriedLaterAndNotAtEachPut() throws IOException {
        Path inTheWay = directory.resolve("journal.new");
        try (Journal journal = Journal.open(file())) {
            Files.createDirectories(inTheWay.resolve("occupied"));
            for (int i = 0; i < 2500; i++) {
                journal.put("a", new byte[1000], Durability.MEMORY);
            }
            await().until(() -> journal.stats().failedCompactions() > 0);
            assertThat(journal.stats().compactions()).isZero();
            assertThat(journal.stats().failedCompactions()).isBetween(1L, 2L);
            Files.delete(inTheWay.resolve("occupied"));
            Files.delete(inTheWay);
            for (int i = 0; i < 2500; i++) {
                journal.put("a", new byte[1000], Durability.MEMORY);
            }
            await().until(() -> journal.stats().compactions() > 0);
            journal.put("a", bytes("last"), Durability.MEMORY);
        }
        assertThat(reopened()).isEqualTo(Map.of("a", "last"));
    }

    @Test
    void aKillBeforeTheRenameOfACompactionLeavesTheOldLog() throws IOException {
        try (Journal journal = Journal.open(file())) {
            journal.put("a", bytes("1"), Durability.MEMORY);
            journal.put("b", bytes("2"), Durability.MEMORY);
        }
        byte[] whole = Files.readAllBytes(file());
        Path unfinished = directory.resolve("journal.new");
        for (int length : new int[] {0, 7, 16, 20, whole.length}) {
            Files.write(unfinished, Arrays.copyOf(whole, length));
            assertThat(reopened()).as("left over: %d bytes", length).isEqualTo(Map.of("a", "1", "b", "2"));
            assertThat(unfinished).doesNotExist();
        }
    }

    @Test
    void aKillBeforeTheFirstRenameLeavesAnEmptyJournal() throws IOException {
        Files.write(directory.resolve("journal.new"), new byte[] {1, 2, 3});
        assertThat(reopened()).isEmpty();
    }

    @Test
    void behavesLikeAMapUnderRandomOperations() throws IOException {
        long seed = new Random().nextLong();
        System.out.println("JournalTest.behavesLikeAMapUnderRandomOperations seed " + seed);
        Random random = new Random(seed);
        Map<String, String> model = new HashMap<>();
        Journal journal = Journal.open(file());
        try {
            for (int step = 0; step < 20_000; step++) {
                String key = "key" + random.nextInt(50);
                int dice = random.nextInt(1000);
                if (dice < 2) {
                    journal.close();
                    journal = Journal.open(file());
                    assertThat(journal.damage()).as("seed %d", seed).isEmpty();
                    assertThat(text(journal.live())).as("seed %d", seed).isEqualTo(model);
                } else if (dice < 400) {
                    journal.remove(key, Durability.MEMORY);
                    model.remove(key);
                } else {
                    String value = step + "v".repeat(random.nextInt(dice == 999 ? 100_000 : 600));
                    journal.put(key, bytes(value), dice < 405 ? Durability.DISK : Durability.MEMORY);
                    model.put(key, value);
                }
            }
            assertThat(text(journal.live())).as("seed %d", seed).isEqualTo(model);
        } finally {
            journal.close();
        }
        assertThat(reopened()).as("seed %d", seed).isEqualTo(model);
    }

    @Test
    void manyThreadsWriteAtOnceWhileTheLogIsWrittenAnew() throws Exception {
        int threads = 8;
        int rounds = 3000;
        Map<String, String> expected = new HashMap<>();
        try (Journal journal = Journal.open(file());
                ExecutorService pool = Executors.newFixedThreadPool(threads)) {
            List<Callable<Void>> writers = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                String name = "thread" + thread + "/";
                for (int i = rounds - 9; i < rounds; i++) {
                    expected.put(name + i % 10, i + "x".repeat(1000));
                }
                writers.add(() -> {
                    for (int i = 0; i < rounds; i++) {
                        Durability durability = i % 300 == 0 ? Durability.DISK : Durability.MEMORY;
                        journal.put(name + i % 10, bytes(i + "x".repeat(1000)), durability);
                        if (i % 10 == 0) {
                            journal.remove(name + 0, durability);
                        }
                    }
                    return null;
                });
            }
            for (Future<Void> writer : pool.invokeAll(writers)) {
                writer.get();
            }
            await().until(() -> journal.stats().compactions() > 0);
            assertThat(text(journal.live())).isEqualTo(expected);
        }
        assertThat(reopened()).isEqualTo(expected);
    }

    /** Puts numbers for ever, and says each aloud once the journal has it. */
    static final class Writer {
        private Writer() {}

        public static void main(String[] args) throws IOException {
            Journal journal = Journal.open(Path.of(args[0]));
            for (int i = 0; ; i++) {
                journal.put("key" + i % 100, bytes(i + "x".repeat(1000)), Durability.MEMORY);
                if (i % 7 == 0) {
                    journal.remove("key" + (i + 50) % 100, Durability.MEMORY);
                }
                System.out.println(i);
            }
        }
    }

    @Test
    void everythingAcknowledgedSurvivesKillMinusNine() throws Exception {
        for (int round = 0; round < 3; round++) {
            Path log = directory.resolve("killed" + round);
            int last = writeUntilKilled(log, 3000 + 777 * round);
            try (Journal journal = Journal.open(log)) {
                Map<String, String> live = text(journal.live());
                Map<String, Integer> acknowledged = new HashMap<>();
                for (int i = 0; i <= last; i++) {
                    acknowledged.put("key" + i % 100, i);
                    if (i % 7 == 0) {
                        acknowledged.remove("key" + (i + 50) % 100);
                    }
                }
                // The one operation that was under way may have happened or not.
                String next = "key" + (last + 1) % 100;
                String nextStruckOut = "key" + (last + 51) % 100;
                acknowledged.forEach((key, value) -> {
                    if (!key.equals(next) && !key.equals(nextStruckOut)) {
                        assertThat(live.get(key)).as(key).startsWith(value + "x");
                    }
                });
            }
        }
    }

    private static int writeUntilKilled(Path log, int acknowledgements) throws Exception {
        Process child = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        Writer.class.getName(),
                        log.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        int last = -1;
        try (BufferedReader out = child.inputReader()) {
            for (String line = out.readLine(); line != null; line = out.readLine()) {
                // Its last line may be torn, too.
                if (line.equals(String.valueOf(last + 1))) {
                    last++;
                }
                if (last == acknowledgements) {
                    // Not child.destroyForcibly(), which closes the stream with the last lines in it.
                    child.toHandle().destroyForcibly();
                }
            }
        } finally {
            child.destroyForcibly().waitFor();
        }
        assertThat(last).isGreaterThanOrEqualTo(acknowledgements);
        return last;
    }
}
