package dev.looplease.losetup;

import static dev.looplease.losetup.LoopFixture.MIB;
import static dev.looplease.losetup.LoopFixture.detach;
import static dev.looplease.losetup.LoopFixture.like;
import static dev.looplease.losetup.LoopFixture.run;
import static dev.looplease.losetup.LoopFixture.soon;
import static dev.looplease.losetup.LoopFixture.witness;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.tuple;

import dev.looplease.KernelTest;
import dev.looplease.losetup.LoopFixture.Image;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What every {@link Losetup} does on the real kernel; losetup, run by the test itself, is the witness. */
@KernelTest
abstract class LosetupContract {

    @TempDir
    Path directory;

    private Losetup losetup;
    private LoopFixture fixture;

    abstract Losetup create();

    @BeforeEach
    void start() {
        losetup = create();
        fixture = new LoopFixture(directory);
    }

    @AfterEach
    void cleanUp() throws IOException {
        fixture.close();
    }

    private LoopDevice attach(Attachment wanted) throws LosetupException {
        return fixture.track(losetup.attach(wanted));
    }

    private LoopHandle open(LoopDevice device) throws LosetupException {
        LoopHandle handle = losetup.open(device.identity()).orElseThrow();
        fixture.undo(handle::close);
        return handle;
    }

    @Test
    void attachesWhatTheKernelConfirms() throws Exception {
        Image image = fixture.image(8 * MIB);

        LoopDevice device = attach(image.attachment());

        JsonNode seen = witness(device);
        assertThat(seen.get("name").asString()).isEqualTo(device.path());
        assertThat(seen.get("maj:min").asString().strip())
                .isEqualTo(device.node().toString());
        assertThat(seen.get("back-file").asString())
                .isEqualTo(image.path().toString())
                .isEqualTo(device.backingFile());
        assertThat(seen.get("back-ino").asLong())
                .isEqualTo(Posix.stat(image.fd()).inode())
                .isEqualTo(device.backingInode());
        assertThat(device.backingDevice()).isEqualTo(Posix.stat(image.fd()).device());
        assertThat(run("blockdev", "--getsize64", device.path()).strip())
                .isEqualTo("8388608")
                .isEqualTo(Long.toString(device.sizeBytes()));
        assertThat(device.diskSeq())
                .isPositive()
                .isEqualTo(Long.parseLong(Files.readString(Path.of("/sys/block", device.name(), "diskseq"))
                        .strip()));
        assertThat(device.partitions()).isEmpty();
        assertThat(device)
                .extracting(
                        LoopDevice::readOnly,
                        LoopDevice::directIo,
                        LoopDevice::autoclear,
                        LoopDevice::partScan,
                        LoopDevice::backingFileDeleted)
                .containsOnly(false);
    }

    @Test
    void inspectsAndListsWhatIsBound() throws Exception {
        LoopDevice first = attach(fixture.image(MIB).attachment());
        LoopDevice second = attach(fixture.image(2 * MIB).attachment());
        LoopDevice strange = fixture.stranger(fixture.unusedNumber());

        assertThat(losetup.inspect(first.number())).contains(first);
        assertThat(losetup.inspect(strange.number())).hasValueSatisfying(like(strange));
        assertThat(losetup.list())
                .contains(first, second)
                .anySatisfy(like(strange))
                .isSortedAccordingTo((a, b) -> Integer.compare(a.number(), b.number()));
        assertThat(losetup.isBound(first.identity())).isTrue();
    }

    @Test
    void findsNothingWhereNothingIsBound() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).at(fixture.unusedNumber()));
        detach(losetup, device.identity());

        assertThat(losetup.inspect(device.number())).isEmpty();
        assertThat(losetup.open(device.identity())).isEmpty();
        assertThat(losetup.isBound(device.identity())).isFalse();
        assertThat(losetup.list()).noneMatch(found -> found.number() == device.number());
    }

    /** Guards against opening a node that has no device: the kernel would make one (loop_probe). */
    @Test
    void makesNoDeviceByLookingForIt() throws Exception {
        int number = fixture.unusedNumber();

        assertThat(losetup.inspect(number)).isEmpty();
        assertThat(Path.of("/sys/block/loop" + number)).doesNotExist();
    }

    @Test
    void takesTheWantedNumberEvenWhereNoDeviceHasItYet() throws Exception {
        int number = fixture.unusedNumber();

        assertThat(attach(fixture.image(MIB).at(number)).number()).isEqualTo(number);
    }

    @Test
    void leavesATakenNumberToItsOwner() throws Exception {
        int number = fixture.unusedNumber();
        LoopDevice owned = attach(fixture.image(MIB).at(number));
        Image other = fixture.image(MIB);

        assertThatExceptionOfType(LosetupException.NameTaken.class)
                .isThrownBy(() -> losetup.attach(other.at(number)))
                .satisfies(e -> assertThat(e.number()).isEqualTo(number));

        assertThat(losetup.inspect(number)).contains(owned);
        assertThat(fixture.boundTo(other)).isEmpty();
    }

    /** Guards against LOOP_CTL_GET_FREE, which reserves nothing and tells everybody the same number. */
    @Test
    void neverGivesOneNumberToTwo() throws Exception {
        int threads = 32;
        List<Image> images = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            images.add(fixture.image(MIB));
        }
        ConcurrentHashMap<Integer, Image> held = new ConcurrentHashMap<>();
        List<Future<?>> results = new ArrayList<>();
        try (var executor = Executors.newFixedThreadPool(threads)) {
            for (Image image : images) {
                results.add(executor.submit(() -> {
                    for (int round = 0; round < 5; round++) {
                        LoopDevice device = attach(image.attachment());
                        assertThat(held.putIfAbsent(device.number(), image)).isNull();
                        assertThat(losetup.isBound(device.identity())).isTrue();
                        held.remove(device.number());
                        detach(losetup, device.identity());
                    }
                    return null;
                }));
            }
        }
        for (Future<?> result : results) {
            result.get();
        }
        for (Image image : images) {
            assertThat(fixture.boundTo(image)).isEmpty();
        }
    }

    @Test
    void givesAContestedNumberToOne() throws Exception {
        int number = fixture.unusedNumber();
        ConcurrentHashMap<String, LoopDevice> winners = new ConcurrentHashMap<>();
        List<Image> images = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            images.add(fixture.image(MIB));
        }
        List<Future<?>> results = new ArrayList<>();
        try (var executor = Executors.newFixedThreadPool(8)) {
            for (Image image : images) {
                results.add(executor.submit(() -> {
                    try {
                        winners.put(image.path().toString(), attach(image.at(number)));
                    } catch (LosetupException.NameTaken e) {
                        assertThat(e.number()).isEqualTo(number);
                    }
                    return null;
                }));
            }
        }
        for (Future<?> result : results) {
            result.get();
        }
        assertThat(winners).hasSize(1);
    }

    @Test
    void mapsASection() throws Exception {
        Image image = fixture.image(4 * MIB);

        LoopDevice device = attach(image.section(MIB, 2 * MIB));

        assertThat(device.sizeBytes()).isEqualTo(2 * MIB);
        JsonNode seen = witness(device);
        assertThat(seen.get("offset").asLong()).isEqualTo(MIB).isEqualTo(device.offsetBytes());
        assertThat(seen.get("sizelimit").asLong()).isEqualTo(2 * MIB).isEqualTo(device.sizeLimitBytes());
        assertThat(attach(image.section(3 * MIB, 0)).sizeBytes()).isEqualTo(MIB);
    }

    /** Guards against a device clipped to what is there, down to 0 bytes, that the kernel calls a success. */
    @ParameterizedTest
    @CsvSource({
        "4194304, 0, 512, offsetBytes",
        "8388608, 512, 512, offsetBytes",
        "3145728, 2097152, 512, sizeLimitBytes",
        "0, 8704, 4096, sectorSize"
    })
    void refusesASectionThatWouldBeClipped(long offset, long limit, int sectorSize, String feature) throws Exception {
        Image image = fixture.image(4 * MIB);

        assertThatExceptionOfType(LosetupException.Refused.class)
                .isThrownBy(() -> losetup.attach(image.section(offset, limit, sectorSize, DirectIo.OFF)))
                .satisfies(e -> assertThat(e.feature()).isEqualTo(feature));
        assertThat(fixture.boundTo(image)).isEmpty();
    }

    @Test
    void refusesAnEmptyImage() throws Exception {
        Image image = fixture.image(0);

        assertThatExceptionOfType(LosetupException.Refused.class).isThrownBy(() -> losetup.attach(image.attachment()));
    }

    @Test
    void attachesReadOnly() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).flags(true, false, DirectIo.OFF));

        assertThat(device.readOnly()).isTrue();
        assertThat(witness(device).get("ro").asBoolean()).isTrue();
    }

    /** Guards against the silent fall-back to read-only where the image cannot be written. */
    @Test
    void undoesAReadOnlyDeviceThatNobodyAskedFor() throws Exception {
        Path mount = Files.createDirectory(directory.resolve("read-only"));
        fixture.image(directory.resolve("bound-image"), MIB);
        run("mount", "--bind", directory.toString(), mount.toString());
        fixture.undo(() -> umount(mount));
        run("mount", "-o", "remount,bind,ro", mount.toString());
        Path path = mount.resolve("bound-image");
        Fd fd = Posix.open(path, Posix.O_RDONLY);
        fixture.undo(fd);
        Image image = new Image(path, fd);

        assertThatExceptionOfType(LosetupException.NotGranted.class)
                .isThrownBy(() -> losetup.attach(image.attachment()))
                .satisfies(e -> assertThat(e.feature()).isEqualTo("readOnly"));
        soon().until(() -> fixture.boundTo(image).isEmpty());
    }

    /** Nothing could be attached to a number any more that somebody had left like this. */
    @Test
    void attachesWritablyWhereTheLastUserSetTheDeviceReadOnly() throws Exception {
        LoopDevice last = attach(fixture.image(MIB).at(fixture.unusedNumber()));
        detach(losetup, last.identity());
        run("blockdev", "--setro", last.path());

        LoopDevice device = attach(fixture.image(MIB).at(last.number()));

        assertThat(device.readOnly()).isFalse();
        assertThat(witness(device).get("ro").asBoolean()).isFalse();
        assertThat(run("blockdev", "--getro", device.path()).strip()).isEqualTo("0");
    }

    private static void umount(Path mount) throws IOException {
        try {
            run("umount", mount.toString());
        } catch (Exception e) {
            throw new IOException(e);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {512, 1024, 2048, 4096})
    void setsTheSectorSize(int bytes) throws Exception {
        LoopDevice device = attach(fixture.image(MIB).section(0, 0, bytes, DirectIo.OFF));

        assertThat(device.sectorSize()).isEqualTo(bytes);
        assertThat(witness(device).get("log-sec").asInt()).isEqualTo(bytes);
        assertThat(run("blockdev", "--getss", device.path()).strip()).isEqualTo(Integer.toString(bytes));
    }

    /** The upper bound is the kernel's: the page size on older ones, 64 KiB on newer. */
    @ParameterizedTest
    @ValueSource(ints = {8192, 65536, 131072, 1 << 30})
    void leavesTheLargestSectorSizeToTheKernel(int bytes) throws Exception {
        Image image = fixture.image(1L << 30);
        try {
            assertThat(attach(image.section(0, 0, bytes, DirectIo.OFF)).sectorSize())
                    .isEqualTo(bytes)
                    .isLessThanOrEqualTo(65536);
        } catch (LosetupException.Refused e) {
            assertThat(e.feature()).isEqualTo("sectorSize");
            assertThat(fixture.boundTo(image)).isEmpty();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {7, 0, 1000, 513, 256, -512, Integer.MIN_VALUE})
    void knowsNoOddSectorSizes(int bytes) throws Exception {
        Image image = fixture.image(MIB);
        LoopDevice device = attach(image.attachment());

        assertThatIllegalArgumentException().isThrownBy(() -> image.section(0, 0, bytes, DirectIo.OFF));
        assertThatIllegalArgumentException().isThrownBy(() -> open(device).setSectorSize(bytes));
    }

    @Test
    void changesTheSectorSize() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        LoopHandle handle = open(device);

        assertThat(handle.setSectorSize(4096).sectorSize()).isEqualTo(4096);
        assertThat(witness(device).get("log-sec").asInt()).isEqualTo(4096);
        assertThatExceptionOfType(LosetupException.Refused.class).isThrownBy(() -> handle.setSectorSize(1 << 30));
        assertThat(handle.inspect().identity()).isEqualTo(device.identity());
    }

    @Test
    void turnsDirectIoOnAndOff() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).section(0, 0, 4096, DirectIo.REQUIRE));
        assertThat(device.directIo()).isTrue();
        assertThat(device.sectorSize()).isEqualTo(4096);

        LoopHandle handle = open(device);
        assertThat(handle.setDirectIo(false).directIo()).isFalse();
        assertThat(witness(device).get("dio").asBoolean()).isFalse();
        assertThat(handle.setDirectIo(true).directIo()).isTrue();
        assertThat(witness(device).get("dio").asBoolean()).isTrue();
        assertThat(handle.inspect().identity()).isEqualTo(device.identity());
    }

    /** Guards against direct I/O that was asked for, cannot be, and is dropped with exit code 0. */
    @Test
    void doesNotPretendDirectIo() throws Exception {
        // A file system on 4096-byte sectors, where an offset of 512 is unaligned.
        LoopDevice disk = attach(fixture.image(64 * MIB).section(0, 0, 4096, DirectIo.OFF));
        run("mkfs.ext4", "-q", disk.path());
        Path mount = Files.createDirectory(directory.resolve("mount"));
        run("mount", disk.path(), mount.toString());
        fixture.undo(() -> umount(mount));
        Image image = fixture.image(mount.resolve("image"), 2 * MIB);

        assertThatExceptionOfType(LosetupException.NotGranted.class)
                .isThrownBy(() -> losetup.attach(image.section(512, MIB, 512, DirectIo.REQUIRE)))
                .satisfies(e -> assertThat(e.feature()).isEqualTo("directIo"));
        soon().until(() -> fixture.boundTo(image).isEmpty());

        LoopDevice device = attach(image.section(512, MIB, 512, DirectIo.PREFER));
        assertThat(device.directIo()).isFalse();
        assertThatExceptionOfType(LosetupException.NotGranted.class)
                .isThrownBy(() -> open(device).setDirectIo(true))
                .satisfies(e -> assertThat(e.feature()).isEqualTo("directIo"));

        try (LoopHandle mounted = losetup.open(disk.identity()).orElseThrow()) {
            assertThat(mounted.isClaimed()).isTrue();
        }
    }

    @Test
    void seesExclusiveClaimsButNotMereOpeners() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        LoopHandle handle = open(device);

        try (Fd opener = Posix.open(Path.of(device.path()), Posix.O_RDWR)) {
            assertThat(opener.number()).isPositive();
            assertThat(handle.isClaimed()).isFalse();
        }
        try (Fd claim = Posix.open(Path.of(device.path()), Posix.O_RDONLY | Posix.O_EXCL)) {
            assertThat(claim.number()).isPositive();
            assertThat(handle.isClaimed()).isTrue();
        }
        assertThat(handle.isClaimed()).isFalse();
    }

    @Test
    void setsPartScan() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).flags(false, true, DirectIo.OFF));

        assertThat(device.partScan()).isTrue();
        assertThat(witness(device).get("partscan").asBoolean()).isTrue();
    }

    @Test
    void listsPartitions() throws Exception {
        Image image = fixture.image(16 * MIB);
        LoopDevice device = attach(image.attachment());
        assertThat(hasPartitions(device)).isFalse();
        // Added by BLKPG, for a kernel need not have a parser for partition tables.
        run("addpart", device.path(), "1", "2048", "4096");
        try {
            run("addpart", device.path(), "3", "8192", "2048");

            LoopDevice seen = losetup.inspect(device.number()).orElseThrow();

            assertThat(seen.partitions())
                    .extracting(Partition::number, Partition::name, Partition::startBytes, Partition::sizeBytes)
                    .containsExactly(
                            tuple(1, device.name() + "p1", (long) MIB, 2L * MIB),
                            tuple(3, device.name() + "p3", 4L * MIB, (long) MIB));
            assertThat(seen.partitions().getFirst().node().toString())
                    .isEqualTo(Files.readString(Path.of("/sys/class/block", device.name() + "p1", "dev"))
                            .strip());
            assertThat(losetup.list()).contains(seen);
            assertThat(hasPartitions(device)).isTrue();
            run("delpart", device.path(), "3");
        } finally {
            run("delpart", device.path(), "1");
        }
        assertThat(hasPartitions(device)).isFalse();
    }

    private boolean hasPartitions(LoopDevice device) throws LosetupException {
        try (LoopHandle handle = losetup.open(device.identity()).orElseThrow()) {
            return handle.hasPartitions();
        }
    }

    @Test
    void followsAnImageThatIsRenamedAndDeleted() throws Exception {
        Image image = fixture.image(MIB);
        LoopDevice device = attach(image.attachment());

        Path renamed = directory.resolve("renamed");
        Files.move(image.path(), renamed);
        LoopDevice moved = losetup.inspect(device.number()).orElseThrow();
        assertThat(moved.backingFile()).isEqualTo(renamed.toString());
        assertThat(moved.identity()).isEqualTo(device.identity());

        Files.delete(renamed);
        LoopDevice deleted = losetup.inspect(device.number()).orElseThrow();
        assertThat(deleted.backingFile()).isEqualTo(renamed.toString());
        assertThat(deleted.backingFileDeleted()).isTrue();
        assertThat(deleted.identity()).isEqualTo(device.identity());
        assertThat(losetup.list()).contains(deleted);
        assertThat(losetup.open(device.identity())).get().satisfies(LoopHandle::close);
    }

    /** Guards against taking a living file that is called so for a deleted one, and against names in no encoding. */
    @Test
    void readsOddNames() throws Exception {
        for (String name : List.of("disk (deleted)", "two\nlines", "\"quoted\\\"", "-dash", "ü")) {
            Path path = Path.of(directory + "/" + (name.equals("ü") ? "plain" : name));
            Image image = fixture.image(path, MIB);
            LoopDevice device = attach(image.attachment());
            assertThat(device.backingFile()).isEqualTo(path.toString());
            assertThat(device.backingFileDeleted()).isFalse();
        }
        Image image = fixture.image(directory.resolve("gone (deleted)"), MIB);
        LoopDevice device = attach(image.attachment());
        Files.delete(image.path());
        LoopDevice deleted = losetup.inspect(device.number()).orElseThrow();
        assertThat(deleted.backingFile()).isEqualTo(image.path().toString());
        assertThat(deleted.backingFileDeleted()).isTrue();
    }

    /** Guards against one stranger's image, whose name is no UTF-8 and no JSON, costing the list of all devices. */
    @Test
    void listsAStrangersImageWithABrokenName() throws Exception {
        int number = fixture.unusedNumber();
        run("sh", "-c", "truncate -s 1M \"$(printf '" + directory + "/bad\\377\\001name')\"");
        run("sh", "-c", "losetup /dev/loop" + number + " \"$(printf '" + directory + "/bad\\377\\001name')\"");
        LoopDevice strange = fixture.track(losetup.inspect(number).orElseThrow());

        assertThat(strange.backingFile()).startsWith(directory + "/bad");
        assertThat(losetup.list()).contains(strange);
    }

    @Test
    void listsOnlyWhatIsAskedFor() throws Exception {
        LoopDevice first = attach(fixture.image(MIB).attachment());
        LoopDevice second = attach(fixture.image(MIB).attachment());
        int none = fixture.unusedNumber();

        assertThat(losetup.list(List.of(second.number(), none))).containsExactly(second);
        assertThat(losetup.list(List.of())).isEmpty();
        assertThat(losetup.numbers())
                .contains(first.number(), second.number())
                .doesNotContain(none)
                .isSorted();
    }

    /** Guards against a list that shows what it remembers. */
    @Test
    void listsAnAttachmentAsItIsNow() throws Exception {
        Image image = fixture.image(MIB);
        LoopDevice device = attach(image.attachment());
        assertThat(losetup.list(List.of(device.number()))).containsExactly(device);

        Posix.ftruncate(image.fd(), 4 * MIB);
        run("losetup", "--set-capacity", device.path());
        run("losetup", "--sector-size=4096", device.path());
        Path renamed = directory.resolve("renamed");
        Files.move(image.path(), renamed);

        LoopDevice now = losetup.list(List.of(device.number())).getFirst();
        assertThat(now.sizeBytes()).isEqualTo(4 * MIB);
        assertThat(now.sectorSize()).isEqualTo(4096);
        assertThat(now.backingFile()).isEqualTo(renamed.toString());
        Files.delete(renamed);
        assertThat(losetup.list(List.of(device.number())).getFirst().backingFileDeleted())
                .isTrue();
        assertThat(losetup.list(List.of(device.number())))
                .isEqualTo(losetup.inspect(device.number()).stream().toList());
    }

    /** Guards against taking the next attachment of a number for the one that was read before. */
    @Test
    void listsAStrangerOnANumberThatItKnew() throws Exception {
        int number = fixture.unusedNumber();
        LoopDevice ours = attach(fixture.image(MIB).at(number));
        assertThat(losetup.list(List.of(number))).containsExactly(ours);
        run("losetup", "--detach", ours.path());
        LoopFixture.soon().until(() -> !losetup.isBound(ours.identity()));
        assertThat(losetup.list(List.of(number))).isEmpty();

        LoopDevice stranger = fixture.stranger(number);

        assertThat(losetup.list(List.of(number)))
                .singleElement()
                .satisfies(seen -> assertThat(seen.identity()).isEqualTo(stranger.identity()));
    }

    @Test
    void refreshesTheSize() throws Exception {
        Image image = fixture.image(MIB);
        LoopDevice device = attach(image.attachment());
        Posix.ftruncate(image.fd(), 4 * MIB);

        LoopDevice grown = open(device).refreshSize();

        assertThat(grown.sizeBytes()).isEqualTo(4 * MIB);
        assertThat(grown.identity()).isEqualTo(device.identity());
        assertThat(run("blockdev", "--getsize64", device.path()).strip()).isEqualTo("4194304");
    }

    @Test
    void doesNotGrowBeyondASizeLimit() throws Exception {
        Image image = fixture.image(2 * MIB);
        LoopDevice device = attach(image.section(0, MIB));
        Posix.ftruncate(image.fd(), 4 * MIB);

        assertThat(open(device).refreshSize().sizeBytes()).isEqualTo(MIB);
    }

    @Test
    void detachesAtTheHandlesClose() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        LoopHandle handle = open(device);

        handle.clear();
        handle.close();
        handle.close();

        soon().until(() -> !losetup.isBound(device.identity()));
        assertThat(witness(device).get("back-file").isNull()).isTrue();
    }

    /** Guards against believing a detach that exits 0 while somebody has the device open. */
    @Test
    void finishesADetachAtTheLastOpenersClose() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        try (Fd opener = Posix.open(Path.of(device.path()), Posix.O_RDONLY)) {
            assertThat(opener.number()).isPositive();
            LoopHandle handle = open(device);
            handle.clear();
            handle.close();

            assertThat(losetup.isBound(device.identity())).isTrue();
            assertThat(losetup.inspect(device.number()).orElseThrow().autoclear())
                    .isTrue();
        }
        soon().until(() -> !losetup.isBound(device.identity()));
    }

    @ParameterizedTest
    @CsvSource({"0, 0, false", "1048576, 1048576, false", "0, 0, true"})
    void takesAPendingDetachBack(long offset, long limit, boolean readOnly) throws Exception {
        Image image = fixture.image(4 * MIB);
        LoopDevice device = attach(new Attachment(
                image.fd(),
                image.path(),
                offset,
                limit,
                512,
                readOnly,
                false,
                DirectIo.OFF,
                OptionalInt.empty(),
                "test"));
        try (Fd opener = Posix.open(Path.of(device.path()), Posix.O_RDONLY)) {
            assertThat(opener.number()).isPositive();
            LoopHandle handle = open(device);
            handle.clear();
            assertThat(handle.inspect().autoclear()).isTrue();

            handle.retain();

            assertThat(handle.inspect()).isEqualTo(device);
            assertThat(witness(device).get("autoclear").asBoolean()).isFalse();
            handle.close();
        }
        assertThat(losetup.inspect(device.number())).contains(device);
        assertThat(fixture.boundTo(image)).singleElement().satisfies(like(device));
    }

    /** Guards against a retain that claims success where the detach has taken effect. */
    @Test
    void retainsOrSaysThatItCannot() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        LoopHandle handle = open(device);
        handle.clear();
        boolean retained;
        try {
            handle.retain();
            retained = true;
        } catch (LosetupException.Gone e) {
            retained = false;
        }
        handle.close();
        boolean expected = retained;
        soon().until(() -> losetup.isBound(device.identity()) == expected);
    }

    /** Guards against detaching, formatting or unmounting what somebody else has bound to the same number since. */
    @Test
    void doesNotTakeAStrangerForOurs() throws Exception {
        int number = fixture.unusedNumber();
        Image image = fixture.image(MIB);
        LoopDevice device = attach(image.at(number));
        run("losetup", "-d", device.path());
        soon().until(() -> !losetup.isBound(device.identity()));
        LoopDevice strange = fixture.stranger(number);

        assertThat(losetup.open(device.identity())).isEmpty();
        assertThat(losetup.isBound(device.identity())).isFalse();
        assertThat(losetup.inspect(number)).hasValueSatisfying(like(strange));
    }

    /** Guards against an identity without a generation: the same image on the same number is another attachment. */
    @Test
    void tellsTwoAttachmentsOfOneImageApart() throws Exception {
        int number = fixture.unusedNumber();
        Image image = fixture.image(MIB);
        LoopDevice first = attach(image.at(number));
        detach(losetup, first.identity());
        LoopDevice second = attach(image.at(number));

        assertThat(second.backingInode()).isEqualTo(first.backingInode());
        assertThat(losetup.open(first.identity())).isEmpty();
        assertThat(losetup.isBound(first.identity())).isFalse();
        assertThat(losetup.isBound(second.identity())).isTrue();
    }

    /** The point of a handle: behind our back the device can be asked to go, but not made somebody else's. */
    @Test
    void keepsTheNumberWhileTheHandleIsOpen() throws Exception {
        int number = fixture.unusedNumber();
        LoopDevice device = attach(fixture.image(MIB).at(number));
        LoopHandle handle = open(device);

        run("losetup", "-d", device.path());

        assertThat(handle.inspect().autoclear()).isTrue();
        Image other = fixture.image(MIB);
        assertThatExceptionOfType(LosetupException.NameTaken.class).isThrownBy(() -> attach(other.at(number)));
        handle.close();
        soon().until(() -> !losetup.isBound(device.identity()));
    }

    @Test
    void saysGoneOfADetachedDevice() throws Exception {
        LoopDevice device = attach(fixture.image(MIB).attachment());
        LoopHandle handle = open(device);
        handle.clear();
        handle.close();
        soon().until(() -> !losetup.isBound(device.identity()));

        assertThat(losetup.open(device.identity())).isEmpty();
    }
}
