package dev.looplease.journal;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever happens to the file: opening it throws nothing, and loses nothing but what was hit. */
class JournalDamageTest {

    private static final List<String> KEYS = List.of("first", "second", "third");

    @TempDir
    Path directory;

    private Path file() {
        return directory.resolve("journal");
    }

    private static byte[] header() {
        ByteBuffer header = ByteBuffer.allocate(LogFormat.HEADER_BYTES);
        LogFormat.encodeHeader(header);
        return header.array();
    }

    private static byte[] record(String key) {
        return record(key, ("value of " + key).getBytes(UTF_8));
    }

    private static byte[] record(String key, byte[] value) {
        ByteBuffer record = ByteBuffer.allocate(LogFormat.size(key, value));
        LogFormat.encode(record, key, value);
        return record.array();
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream joined = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            joined.writeBytes(part);
        }
        return joined.toByteArray();
    }

    private static byte[] smallLog() {
        return join(header(), record("first"), record("second"), record("third"));
    }

    private static Map<String, String> values(List<String> keys) {
        Map<String, String> values = new HashMap<>();
        keys.forEach(key -> values.put(key, "value of " + key));
        return values;
    }

    /** Opens these bytes, checks that a second opening finds the same and no more damage, and returns the damage. */
    private List<Damage> open(byte[] log, Map<String, String> expected, String what) throws IOException {
        Files.write(file(), log);
        List<Damage> damage;
        try (Journal journal = Journal.open(file())) {
            damage = journal.damage();
            assertThat(JournalTest.text(journal.live())).as(what).isEqualTo(expected);
            journal.put("new", "new".getBytes(UTF_8), Durability.MEMORY);
        }
        Map<String, String> andNew = new HashMap<>(expected);
        andNew.put("new", "new");
        try (Journal journal = Journal.open(file())) {
            assertThat(journal.damage()).as(what).isEmpty();
            assertThat(JournalTest.text(journal.live())).as(what).isEqualTo(andNew);
        }
        return damage;
    }

    private static byte[] kept(Damage damage) throws IOException {
        Path setAside = damage.setAside();
        assertThat(setAside).isNotNull();
        return Files.readAllBytes(setAside);
    }

    @Test
    void theLayoutIsTheOneOfVersionOne() {
        // A change here makes every log on every host foreign: raise LogFormat.VERSION and read both.
        assertThat(header()).asHexString().isEqualTo("FF6C6F6F706A726E000000018CD66D81");
        assertThat(record("k", new byte[] {7})).asHexString().isEqualTo("FF726563F5F35BD70101000000016B07");
    }

    @Test
    void aTornLastRecordLosesOnlyItselfWhereverItIsTorn() throws IOException {
        byte[] whole = smallLog();
        int last = whole.length - record("third").length;
        for (int length = last; length < whole.length; length++) {
            List<Damage> damage = open(Arrays.copyOf(whole, length), values(KEYS.subList(0, 2)), "cut at " + length);
            if (length == last) {
                assertThat(damage).isEmpty();
            } else {
                assertThat(damage).hasSize(1);
                assertThat(damage.getFirst().offset()).isEqualTo(last);
                assertThat(damage.getFirst().lengthBytes()).isEqualTo(length - last);
                assertThat(damage.getFirst().reason()).startsWith("a torn record, its first " + (length - last));
                assertThat(kept(damage.getFirst())).isEqualTo(Arrays.copyOfRange(whole, last, length));
            }
        }
    }

    @Test
    void aFlippedBitLosesOnlyTheRecordThatItIsIn() throws IOException {
        byte[] whole = smallLog();
        int second = LogFormat.HEADER_BYTES + record("first").length;
        int third = second + record("second").length;
        for (int at = 0; at < whole.length; at++) {
            int bit = at % 8;
            byte[] flipped = whole.clone();
            flipped[at] ^= (byte) (1 << bit);
            List<String> lost = at < LogFormat.HEADER_BYTES
                    ? List.of()
                    : List.of(at < second ? "first" : at < third ? "second" : "third");
            List<String> left = KEYS.stream().filter(key -> !lost.contains(key)).toList();
            List<Damage> damage = open(flipped, values(left), "bit " + bit + " of byte " + at);
            assertThat(damage).hasSize(1);
        }
    }

    @Test
    void whateverIsInsertedBetweenRecordsLosesNone() throws IOException {
        Random random = new Random(42);
        byte[] noise = new byte[5000];
        random.nextBytes(noise);
        byte[] beginning = Arrays.copyOf(record("zero"), 20);
        byte[] boast = record("zero", new byte[1 << 20]);
        for (byte[] foreign : List.of(new byte[] {0}, new byte[4096], noise, beginning, Arrays.copyOf(boast, 100))) {
            byte[] log = join(header(), record("first"), foreign, record("second"), foreign, record("third"));
            List<Damage> damage = open(log, values(KEYS), foreign.length + " bytes inserted");
            assertThat(damage).hasSize(2);
            assertThat(damage.getFirst().offset()).isEqualTo(LogFormat.HEADER_BYTES + record("first").length);
            assertThat(kept(damage.getFirst())).isEqualTo(join(foreign, foreign));
        }
    }

    @Test
    void tellsZerosFromNonsenseFromAWrongChecksum() throws IOException {
        byte[] wrong = record("zero");
        wrong[wrong.length - 1] ^= 1;
        byte[] log = join(
                header(),
                record("first"),
                new byte[9],
                record("second"),
                wrong,
                record("third"),
                "what?".getBytes(UTF_8));
        assertThat(open(log, values(KEYS), "three kinds").stream().map(Damage::reason))
                .containsExactly(
                        "zeros, never a record", "a record whose checksum does not match", "nonsense, not a record");
    }

    @Test
    void damageAcrossTheReadersWindowIsNoDifferent() throws IOException {
        byte[] large = new byte[LogFormat.MAX_VALUE_BYTES];
        Arrays.fill(large, (byte) 'x');
        byte[] log = join(
                header(),
                record("large", large),
                new byte[3 << 20],
                record("larger", large),
                record("first"),
                new byte[5]);
        Map<String, String> expected = values(List.of("first"));
        expected.put("large", new String(large, UTF_8));
        expected.put("larger", new String(large, UTF_8));
        List<Damage> damage = open(log, expected, "large records");
        assertThat(damage).hasSize(2);
        // The file is bounded: the first stretch filled it, the second found no room.
        assertThat(kept(damage.getFirst())).hasSize(Quarantine.MAX_BYTES);
        assertThat(damage.getLast().setAside()).isNull();
    }

    @Test
    void textInAValueCannotPassForARecord() throws IOException {
        byte[] fake = record("fake");
        byte[] outer = record("outer", new String(fake, UTF_8).getBytes(UTF_8));
        outer[4] ^= 1;
        open(join(header(), outer, record("first")), values(List.of("first")), "a record within a damaged record");
    }

    @Test
    void randomDamageNeverThrows() throws IOException {
        long seed = new Random().nextLong();
        System.out.println("JournalDamageTest.randomDamageNeverThrows seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 100; round++) {
            byte[] log = smallLog();
            for (int i = random.nextInt(8); i >= 0; i--) {
                int from = random.nextInt(log.length);
                int to = from + random.nextInt(log.length - from);
                byte[] noise = new byte[random.nextInt(40)];
                random.nextBytes(noise);
                log = join(Arrays.copyOf(log, from), noise, Arrays.copyOfRange(log, to, log.length), new byte[1]);
            }
            Files.write(file(), log);
            try (Journal journal = Journal.open(file())) {
                journal.put("new", new byte[3], Durability.MEMORY);
            }
            try (Journal journal = Journal.open(file())) {
                assertThat(journal.damage()).as("seed %d", seed).isEmpty();
                assertThat(journal.live()).as("seed %d", seed).containsKey("new");
            }
        }
    }

    @Test
    void aFileThatIsNoLogIsKeptWholeAndAnEmptyLogBegins() throws IOException {
        byte[] foreign = "#!/bin/sh\necho not a journal\n".repeat(100_000).getBytes(UTF_8);
        List<Damage> damage = open(foreign, Map.of(), "a script");
        assertThat(damage).hasSize(1);
        assertThat(damage.getFirst().reason()).contains("neither its header nor any record");
        assertThat(kept(damage.getFirst())).isEqualTo(foreign);
    }

    @Test
    void aLogOfAnotherVersionIsKeptWholeAndAnEmptyLogBegins() throws IOException {
        ByteBuffer header = ByteBuffer.wrap(header());
        header.putInt(8, 2);
        CRC32C crc = new CRC32C();
        crc.update(header.array(), 0, 12);
        header.putInt(12, (int) crc.getValue());
        byte[] log = join(header.array(), record("first"));
        List<Damage> damage = open(log, Map.of(), "version 2");
        assertThat(damage.getFirst().reason()).isEqualTo("it has format version 2, this agent reads 1");
        assertThat(kept(damage.getFirst())).isEqualTo(log);
    }

    @Test
    void anEmptyFileIsReportedAndBeginsALog() throws IOException {
        assertThat(open(new byte[0], Map.of(), "empty")).containsExactly(new Damage(0, 0, "it is empty", null));
    }

    @Test
    void aLogWithoutItsBeginningKeepsItsRecords() throws IOException {
        byte[] whole = smallLog();
        List<Damage> damage = open(Arrays.copyOfRange(whole, 9, whole.length), values(KEYS), "9 bytes missing");
        assertThat(damage.getFirst().reason()).isEqualTo("the file's header is damaged");
    }

    @Test
    void keepsTheYoungestEightFilesOfDamage() throws IOException {
        Path stranger = Files.writeString(directory.resolve("journal.damaged-by-hand"), "");
        for (int i = 0; i < 12; i++) {
            open(join(header(), record("first"), new byte[i + 1]), values(List.of("first")), "damage " + i);
        }
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files.filter(f -> f.getFileName().toString().matches("journal\\.damaged-\\d+")))
                    .hasSize(Quarantine.MAX_FILES)
                    .contains(directory.resolve("journal.damaged-12"))
                    .doesNotContain(directory.resolve("journal.damaged-4"));
        }
        assertThat(stranger).exists();
    }

    @Test
    void refusesWhatIsNoRegularFile() throws IOException {
        Path target = Files.writeString(directory.resolve("target"), "untouched");
        Files.createSymbolicLink(file(), target);
        assertThatIOException().isThrownBy(() -> Journal.open(file())).withMessageContaining("not a regular file");
        assertThat(target).hasContent("untouched");
    }
}
