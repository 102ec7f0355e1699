package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** What the test suites of util-linux, udisks, libblockdev and LTP assert of loop devices, asked over HTTP. */
abstract class OutsideSuitesContract extends HttpTest {

    private Answer reuse(Path file, long offset, long sizeLimit, boolean readOnly) {
        return agent.create(
                "imagePath", file.toString(),
                "reuseFile", true,
                "offsetBytes", offset,
                "sizeLimitBytes", sizeLimit,
                "readOnly", readOnly);
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("util-linux tests/ts/losetup/losetup: file, file-offset, file-sizelimit, file-section")
    @CsvSource({
        "file,           0,       0,       10485760",
        "file-offset,    1048576, 0,       9437184",
        "file-sizelimit, 0,       3145728, 3145728",
        "file-section,   1048576, 3145728, 3145728"
    })
    void mapsTheSection(String subtest, long offset, long sizeLimit, long size) {
        Path file = userFile(subtest, 10L * MIB);

        Answer device = reuse(file, offset, sizeLimit, false).expect(201);

        assertThat(device.number("offsetBytes")).isEqualTo(offset);
        assertThat(device.number("sizeLimitBytes")).isEqualTo(sizeLimit);
        assertThat(device.number("sizeBytes")).isEqualTo(size);
        JsonNode witness = Kernel.device(userFiles, device.name());
        assertThat(witness.path("offset").asLong()).isEqualTo(offset);
        assertThat(witness.path("sizelimit").asLong()).isEqualTo(sizeLimit);
        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(size);
    }

    /** In MiB. Where losetup would hand out the existing device again, a second owner of the same bytes is refused. */
    @ParameterizedTest(name = "{0}")
    @DisplayName("util-linux tests/ts/losetup/losetup-loop: overlaps are refused")
    @CsvSource({
        "find-re-use,                 0, 0, false, 0, 0, false, 409",
        "find-no-re-use,              0, 1, false, 1, 1, false, 201",
        "find-conflict,               1, 2, false, 2, 2, false, 409",
        "find-conflict inside,        0, 8, false, 2, 2, false, 409",
        "find-conflict-no-sizelimit,  1, 0, false, 2, 2, false, 409",
        "find-conflict no sizelimit2, 2, 2, false, 1, 0, false, 409",
        "find-ok-no-sizelimit,        1, 1, false, 2, 0, false, 201",
        "read-only beside writable,   0, 0, true,  2, 2, false, 201",
        "writable beside read-only,   0, 0, false, 2, 2, true,  201",
        "read-only twice,             0, 0, true,  0, 0, true,  201"
    })
    void refusesOverlaps(
            String subtest,
            long offset,
            long sizeLimit,
            boolean readOnly,
            long offset2,
            long sizeLimit2,
            boolean readOnly2,
            int status) {
        Path file = userFile("shared.img", 10L * MIB);
        reuse(file, offset * MIB, sizeLimit * MIB, readOnly).expect(201);

        Answer second = reuse(file, offset2 * MIB, sizeLimit2 * MIB, readOnly2);

        if (status == 409) {
            second.refused(409, "image-overlap");
        } else {
            second.expect(status);
        }
        assertThat(Kernel.devicesBelow(userFiles)).hasSize(status == 409 ? 1 : 2);
    }

    @Test
    @DisplayName("util-linux losetup-loop plain-conflict: with a device that somebody else attached")
    void refusesToOverlapAForeignDevice() {
        Path file = userFile("shared.img", 10L * MIB);
        foreign(file, "--offset", "1048576", "--sizelimit", "1048576");

        reuse(file, 0, 0, false).refused(409, "image-overlap");
        reuse(file, MIB, MIB, false).refused(409, "image-overlap");
        reuse(file, 2 * MIB, 0, false).expect(201);
        reuse(file, 0, 0, true).expect(201);
    }

    @Test
    void refusesToReuseAnImageThatTheAgentMade() {
        Answer device = created("sizeMb", 4, "imagePath", userFiles.toString());

        reuse(device.image(), 0, 0, true).refused(409, "image-overlap");
        agent.detach(device.id()).expect(200);
        reuse(device.image(), 0, 0, false).refused(409, "image-overlap");
        assertThat(device.image()).exists();
    }

    @Test
    void keepsTheSectionOfADetachedDevice() {
        Path file = userFile("shared.img", 10L * MIB);
        Answer device = reuse(file, 0, MIB, false).expect(201);
        agent.detach(device.id()).expect(200);

        reuse(file, 0, 0, false).refused(409, "image-overlap");
        agent.delete(device.id()).expect(204);
        reuse(file, 0, 0, false).expect(201);
    }

    @Test
    @DisplayName("udisks test_10_create_simple: right backing file, whole file, writable")
    void mapsTheWholeFileWritable() {
        Path file = userFile("loop_device.img", 10L * MIB);

        Answer device = reuse(file, 0, 0, false).expect(201);

        assertThat(device.image()).isEqualTo(file);
        assertThat(device.number("sizeBytes")).isEqualTo(10L * MIB);
        assertThat(device.flag("readOnly")).isFalse();
        assertThat(Kernel.sysfs(device.name(), "ro")).isEqualTo("0");
    }

    @ParameterizedTest
    @DisplayName("udisks test_20_create_with_offset, test_30_create_with_offset_size")
    @CsvSource({"0, 10481664", "4194304, 4194304"})
    void mapsFromAnOffset(long sizeLimit, long size) {
        Answer device = reuse(userFile("loop_device.img", 10L * MIB), 4096, sizeLimit, false)
                .expect(201);

        assertThat(device.number("sizeBytes")).isEqualTo(size);
        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(size);
        assertThat(device.flag("readOnly")).isFalse();
    }

    @Test
    @DisplayName("udisks test_40_create_read_only")
    void mapsReadOnly() {
        Answer device =
                reuse(userFile("loop_device.img", 10L * MIB), 0, 0, true).expect(201);

        assertThat(device.flag("readOnly")).isTrue();
        assertThat(device.number("sizeBytes")).isEqualTo(10L * MIB);
        assertThat(Kernel.output("blockdev", "--getro", device.node())).isEqualTo("1");
    }

    @Test
    void staysReadOnlyWhenItIsAttachedAgain() {
        Answer device = created("sizeMb", 2, "readOnly", true, "sectorSize", 4096, "offsetBytes", 4096);
        agent.detach(device.id()).expect(200);

        Answer again = agent.attach(device.id()).expect(200);

        assertThat(Kernel.output("blockdev", "--getro", again.node())).isEqualTo("1");
        assertThat(Kernel.output("blockdev", "--getss", again.node())).isEqualTo("4096");
        assertThat(again.number("sizeBytes")).isEqualTo(2L * MIB - 4096);
    }

    @Test
    @DisplayName("udisks: 4 KiB sectors")
    void mapsWithSectorsOfFourKibibytes() {
        Answer device = created("sizeMb", 4, "sectorSize", 4096);

        assertThat(device.number("sectorSize")).isEqualTo(4096);
        assertThat(Kernel.output("blockdev", "--getss", device.node())).isEqualTo("4096");
    }

    @Test
    @DisplayName("libblockdev: sector size 7 leaves no device behind")
    void leavesNothingBehindABadSectorSize() {
        Path file = userFile("loop_test", 10L * MIB);
        Belongings before = belongings();

        agent.create("imagePath", file.toString(), "reuseFile", true, "sectorSize", 7)
                .refusedField("sectorSize");

        assertThat(belongings()).isEqualTo(before);
    }

    @ParameterizedTest
    @DisplayName("LTP ioctl_loop04: the capacity follows the file")
    @ValueSource(longs = {5120, 20480})
    void followsTheFile(long newSize) throws IOException {
        Path file = userFile("test.img", 10240);
        Answer device = reuse(file, 0, 0, false).expect(201);
        assertThat(Kernel.sysfs(device.name(), "size")).isEqualTo("20");
        try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
            opened.setLength(newSize);
        }

        Answer patched = agent.patch(device.id(), "sizeBytes", newSize).expect(200);

        assertThat(patched.number("sizeBytes")).isEqualTo(newSize);
        assertThat(patched.number("imageSizeBytes")).isEqualTo(newSize);
        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(newSize);
    }

    @ParameterizedTest
    @DisplayName("LTP ioctl_loop06: sector sizes below 512, above the largest, no power of two")
    @ValueSource(ints = {256, 4095, 0, -512, 1 << 30})
    void refusesBadSectorSizes(int sectorSize) {
        Path file = userFile("test.img", 2L * MIB);
        Answer device = reuse(file, 0, 0, false).expect(201);
        Belongings before = belongings();

        agent.create("sizeMb", 2, "sectorSize", sectorSize).refusedField("sectorSize");
        agent.patch(device.id(), "sectorSize", sectorSize).refusedField("sectorSize");

        assertThat(belongings()).isEqualTo(before);
        assertThat(agent.device(device.id()).number("sectorSize")).isEqualTo(512);
    }

    @Test
    @DisplayName("LTP ioctl_loop06: the kernel's own upper bound")
    void refusesTheSectorSizeThatTheKernelRefuses() {
        long tooLarge = 2
                * agent.get("/host")
                        .expect(200)
                        .field("capabilities")
                        .path("largestSectorSize")
                        .asLong();
        Answer device = created("sizeBytes", 4 * tooLarge);
        Belongings before = belongings();

        Answer create =
                agent.create("sizeBytes", 4 * tooLarge, "sectorSize", tooLarge).refusedField("sectorSize");
        Answer patch = agent.patch(device.id(), "sectorSize", tooLarge).refusedField("sectorSize");

        // The fault: what losetup complains of, with the image's path, went to the client.
        String detail = "sectorSize: is refused by this kernel: the kernel does not take " + tooLarge;
        assertThat(create.text("detail")).isEqualTo(detail);
        assertThat(patch.text("detail")).isEqualTo(detail);

        assertThat(belongings()).isEqualTo(before);
        assertThat(agent.device(device.id()).number("sectorSize")).isEqualTo(512);
    }
}
