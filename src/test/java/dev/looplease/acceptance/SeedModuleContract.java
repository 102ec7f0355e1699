package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/**
 * What the Python module {@code sts.loop} offers, row by row, and the faults that it had. Both ways to speak to the
 * kernel must pass.
 */
abstract class SeedModuleContract extends HttpTest {

    /** Number of a device that was free a moment ago; whoever takes it first has it. */
    private Answer createWithFreeName(Object... fields) {
        return soon().until(
                        () -> {
                            String name = Kernel.output("losetup", "--find").substring("/dev/".length());
                            Object[] named = Stream.concat(Stream.of("name", name), Stream.of(fields))
                                    .toArray();
                            Answer answer = agent.create(named);
                            assertThat(answer.status()).as(answer.body()).isIn(201, 409);
                            assertThat(answer.status() == 409 || answer.name().equals(name))
                                    .isTrue();
                            return answer;
                        },
                        answer -> answer.status() == 201);
    }

    @Test
    void createsWithDefaults() {
        Answer device = agent.send("POST", "/loop-devices", null).expect(201);

        assertThat(device.headers().firstValue("Location")).contains("/loop-devices/" + device.id());
        assertThat(device.id()).matches("[A-Za-z0-9_-]{12,}");
        assertThat(device.text("state")).isEqualTo("READY");
        assertThat(device.flag("managed")).isTrue();
        assertThat(device.number("sizeBytes")).isEqualTo(1024L * MIB);
        assertThat(device.number("imageSizeBytes")).isEqualTo(1024L * MIB);
        assertThat(device.number("allocatedBytes")).isLessThan(MIB);
        assertThat(device.number("sectorSize")).isEqualTo(512);
        assertThat(device.number("offsetBytes")).isZero();
        assertThat(device.number("sizeLimitBytes")).isZero();
        assertThat(device.number("major")).isEqualTo(7);
        assertThat("loop" + device.number("minor")).isEqualTo(device.name());
        assertThat(device.node()).isEqualTo("/dev/" + device.name());
        assertThat(device.number("diskSeq")).isEqualTo(Long.parseLong(Kernel.sysfs(device.name(), "diskseq")));
        assertThat(device.list("partitions")).isEmpty();
        for (String flag : List.of("readOnly", "directIo", "autoclear", "partScan", "backingFileDeleted")) {
            assertThat(device.flag(flag)).as(flag).isFalse();
        }
        assertThat(device.text("owner")).isEqualTo("operator");
        assertThat(device.field("labels").isEmpty()).isTrue();
        assertThat(device.image()).isEqualTo(images.resolve(device.id() + ".img"));
        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(1024L * MIB);
        assertThat(Kernel.device(images, device.name()).path("back-file").asString())
                .isEqualTo(device.image().toString());
    }

    @Test
    void createsByName() {
        Answer device = createWithFreeName("sizeMb", 3);

        assertThat(Kernel.device(images, device.name()).path("back-file").asString())
                .isEqualTo(device.image().toString());
        agent.create("sizeMb", 3, "name", device.name()).refused(409, "name-taken");
    }

    @Test
    void createsWithASizeInMebibytesOrBytes() {
        assertThat(created("sizeMb", 3).number("sizeBytes")).isEqualTo(3L * MIB);
        assertThat(created("sizeBytes", 5 * 512).number("sizeBytes")).isEqualTo(5 * 512);
    }

    @Test
    void createsTheImageWhereItIsWanted() throws IOException {
        Answer inDirectory = created("sizeMb", 2, "imagePath", userFiles.toString());
        Answer inDirectoryToo = created("sizeMb", 2, "imagePath", userFiles + "/");
        Path file = userFiles.resolve("disk one.raw");
        Answer asFile = created("sizeMb", 2, "imagePath", file.toString());

        assertThat(inDirectory.image()).isEqualTo(userFiles.resolve(inDirectory.id() + ".img"));
        assertThat(inDirectoryToo.image()).isEqualTo(userFiles.resolve(inDirectoryToo.id() + ".img"));
        assertThat(asFile.image()).isEqualTo(file);
        assertThat(Files.getPosixFilePermissions(file)).hasSize(2);
        assertThat(imageFiles()).isEmpty();
    }

    @Test
    void removesTheImageThatItMadeWhereverItIs() {
        Path file = userFiles.resolve("disk.raw");
        agent.delete(created("sizeMb", 2, "imagePath", file.toString()).id()).expect(204);

        assertThat(file).doesNotExist();
    }

    @Test
    void reservesAllSpaceOnRequest() {
        Answer full = created("sizeMb", 2, "allocation", "FULL");

        assertThat(full.number("allocatedBytes")).isGreaterThanOrEqualTo(2L * MIB);
    }

    @Test
    void reusesAFileAndNeverDeletesIt() throws IOException {
        Path file = userFiles.resolve("precious.img");
        Files.write(file, "precious".repeat(512).getBytes(UTF_8));

        Answer device = created("imagePath", file.toString(), "reuseFile", true);
        assertThat(device.number("sizeBytes")).isEqualTo(4096);
        assertThat(device.image()).isEqualTo(file);
        agent.delete(device.id()).expect(204);

        assertThat(file).hasSize(4096);
        assertThat(Kernel.devicesBelow(userFiles)).isEmpty();
    }

    @Test
    void detachesAndKeepsTheFileThenAttachesItWithItsDataAgain() throws IOException {
        Answer device = created("sizeMb", 8, "labels", Map.of("suite", "seed"));
        Path directory = mounted(device);
        Files.writeString(directory.resolve("note"), "still here");
        unmount(directory);

        Answer detached = agent.detach(device.id()).expect(200);
        assertThat(detached.text("state")).isEqualTo("DETACHED");
        assertThat(detached.field("name").isNull()).isTrue();
        assertThat(detached.field("diskSeq").isNull()).isTrue();
        assertThat(detached.field("sizeBytes").isNull()).isTrue();
        assertThat(detached.image()).isEqualTo(device.image()).exists();
        assertThat(Kernel.devicesBelow(images)).isEmpty();
        assertThat(agent.detach(device.id()).expect(200).text("state")).isEqualTo("DETACHED");
        assertThat(agent.device(device.id()).expect(200).text("state")).isEqualTo("DETACHED");
        assertThat(agent.users(device.id()).expect(200).list("items")).isEmpty();

        Answer attached = agent.attach(device.id()).expect(200);
        assertThat(attached.text("state")).isEqualTo("READY");
        assertThat(attached.id()).isEqualTo(device.id());
        assertThat(attached.field("labels").path("suite").asString()).isEqualTo("seed");
        Path again = mountedAs(attached, "again");
        assertThat(again.resolve("note")).hasContent("still here");
        assertThat(agent.attach(device.id()).expect(200).number("diskSeq")).isEqualTo(attached.number("diskSeq"));
    }

    /** Guards against a number that is of no use any more once a borrower has set its device read-only. */
    @Test
    void isWritableAgainAfterItsBorrowerSetItReadOnly() {
        Answer device = createWithFreeName("sizeMb", 2);
        Kernel.output("blockdev", "--setro", device.node());
        agent.detach(device.id()).expect(200);
        Kernel.output("blockdev", "--setro", device.node());

        Answer attached = agent.attach(device.id()).expect(200);

        assertThat(attached.name()).isEqualTo(device.name());
        assertThat(attached.flag("readOnly")).isFalse();
        Kernel.output("mkfs.ext4", "-q", "-F", attached.node());
    }

    @Test
    void removesWithTheFile() {
        Answer device = created("sizeMb", 2);
        agent.delete(device.id()).expect(204);

        assertThat(device.image()).doesNotExist();
        assertThat(Kernel.devicesBelow(images)).isEmpty();
        agent.device(device.id()).refused(410, "ended");
    }

    @Test
    void listsAllDevicesOfTheHostByNumber() {
        Answer ours = created("sizeMb", 2);
        Answer detached = agent.detach(created("sizeMb", 2).id()).expect(200);
        String foreign = foreign(userFile("foreign.img", MIB));

        List<JsonNode> all = agent.items("/loop-devices");
        assertThat(all.stream().map(device -> device.path("id").asString(""))).contains(ours.id(), detached.id());
        assertThat(all)
                .filteredOn(device -> device.path("name").asString("").equals(foreign))
                .singleElement()
                .satisfies(device -> {
                    assertThat(device.path("managed").asBoolean()).isFalse();
                    for (String unknown : List.of("id", "state", "owner", "lease", "createTime", "imageSizeBytes")) {
                        assertThat(device.path(unknown).isNull()).as(unknown).isTrue();
                    }
                });
        assertThat(all.stream()
                        .filter(device -> device.path("minor").isNumber())
                        .map(device -> device.path("minor").asInt()))
                .isSorted();
        assertThat(agent.items("/loop-devices?managed=false"))
                .allMatch(device -> !device.path("managed").asBoolean());
    }

    @Test
    void findsByName() {
        Answer device = created("sizeMb", 2);

        Answer byName = agent.device(device.name()).expect(200);
        assertThat(byName.id()).isEqualTo(device.id());
        assertThat(byName.etag()).isEqualTo(device.etag());
    }

    @Test
    void discoversEverythingOfAForeignDevice() throws IOException {
        Path file = userFile("foreign.img", 8L * MIB);
        String name =
                foreign(file, "--offset", "8192", "--sizelimit", "1048576", "--sector-size", "4096", "--read-only");

        Answer device = agent.device(name).expect(200);
        assertThat(device.flag("managed")).isFalse();
        assertThat(device.number("sizeBytes")).isEqualTo(MIB);
        assertThat(device.image()).isEqualTo(file);
        assertThat(device.number("offsetBytes")).isEqualTo(8192);
        assertThat(device.number("sizeLimitBytes")).isEqualTo(MIB);
        assertThat(device.flag("readOnly")).isTrue();
        assertThat(device.number("sectorSize")).isEqualTo(4096);
        assertThat(device.flag("autoclear")).isFalse();
        assertThat(device.flag("directIo"))
                .isEqualTo(Kernel.device(userFiles, name).path("dio").asBoolean());
        assertThat(device.etag()).isNotBlank();

        // losetup -d of an open device does no more than this.
        try (FileChannel open = FileChannel.open(Path.of(device.node()), StandardOpenOption.READ)) {
            assertThat(open.isOpen()).isTrue();
            Kernel.output("losetup", "--detach", device.node());
            assertThat(agent.device(name).expect(200).flag("autoclear")).isTrue();
            assertThat(agent.device(name).etag()).isNotEqualTo(device.etag());
        }
        soon().until(() -> !Kernel.isAttached(name) || agent.device(name).status() == 404);
    }

    @ParameterizedTest
    @ValueSource(strings = {"off", "on"})
    void discoversDirectIoOfAForeignDevice(String directIo) {
        String name = foreign(userFile("foreign.img", MIB), "--direct-io=" + directIo);

        assertThat(agent.device(name).expect(200).flag("directIo"))
                .isEqualTo(Kernel.device(userFiles, name).path("dio").asBoolean());
    }

    @Test
    void discoversThatTheFileHasNoNameAnyMore() throws IOException {
        Path file = userFile("foreign.img", MIB);
        String name = foreign(file);
        Files.delete(file);

        assertThat(agent.device(name).expect(200).flag("backingFileDeleted")).isTrue();
    }

    @Test
    @DisplayName("fault: a stale file made creation fail; or was overwritten")
    void isNotStoppedByAStaleFile() throws IOException {
        for (int number = 0; number < 16; number++) {
            Path stale = images.resolve("loop" + number + ".img");
            Files.writeString(stale, "stale");
            afterwards(() -> Files.deleteIfExists(stale));
        }
        Path asked = userFiles.resolve("stale.img");
        Files.writeString(asked, "stale");

        createWithFreeName("sizeMb", 2);
        agent.create("sizeMb", 2, "imagePath", asked.toString()).refused(409, "image-exists");
        assertThat(asked).hasContent("stale");
    }

    @Test
    @DisplayName("fault: the user's file was deleted when attaching it failed")
    void keepsTheUsersFileWhenAttachingFails() throws IOException {
        Path file = userFile("precious.img", 4L * MIB);
        try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
            opened.writeUTF("precious");
        }
        byte[] before = Files.readAllBytes(file);
        String taken = foreign(userFile("other.img", MIB));

        agent.create("imagePath", file.toString(), "reuseFile", true, "name", taken)
                .refused(409, "name-taken");
        agent.create("imagePath", file.toString(), "reuseFile", true, "sectorSize", 8 * MIB)
                .refusedField("sectorSize");
        agent.create("imagePath", file.toString(), "reuseFile", true, "sectorSize", MIB)
                .refusedField("sectorSize");

        assertThat(file).hasBinaryContent(before);
        assertThat(Kernel.devicesBelow(userFiles)).hasSize(1);
    }

    @Test
    @DisplayName("fault: find, then attach lost the race for a number")
    void winsEveryRaceForANumber() throws Exception {
        try (ExecutorService clients = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Answer>> answers = clients.invokeAll(IntStream.range(0, 24)
                    .<Callable<Answer>>mapToObj(i -> () -> agent.create("sizeMb", 1))
                    .toList());
            Set<String> names = answers.stream()
                    .map(Future::resultNow)
                    .map(answer -> answer.expect(201).name())
                    .collect(Collectors.toSet());

            assertThat(names).hasSize(24);
            assertThat(Kernel.devicesBelow(images)).hasSize(24);
        }
    }

    @Test
    @DisplayName("fault: the file was unlinked under a mounted filesystem")
    void neverUnlinksTheFileUnderAMountedFilesystem() throws IOException {
        Answer device = created("sizeMb", 8);
        Path directory = mounted(device);
        Files.writeString(directory.resolve("note"), "before");

        agent.delete(device.id()).refused(409, "device-busy");

        assertThat(device.image()).exists();
        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.flag("backingFileDeleted")).isFalse();
        assertThat(now.text("state")).isEqualTo("READY");
        Files.writeString(directory.resolve("note"), "after");
        unmount(directory);
        agent.delete(device.id()).expect(204);
        assertThat(device.image()).doesNotExist();
    }

    @Test
    @DisplayName("fault: the image was leaked when remove followed detach")
    void removesTheImageOfADetachedDevice() {
        Answer device = created("sizeMb", 2);
        agent.detach(device.id()).expect(200);
        assertThat(device.image()).exists();

        agent.delete(device.id()).expect(204);

        assertThat(device.image()).doesNotExist();
    }
}
