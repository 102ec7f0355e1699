package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** PATCH: size, direct I/O, sector size, labels; all of it or nothing. */
@KernelTest
class ChangeTest extends HttpTest {

    private void assertSize(Answer device, long bytes) {
        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.number("sizeBytes")).isEqualTo(bytes);
        assertThat(now.number("imageSizeBytes")).isEqualTo(bytes);
        assertThat(Kernel.sizeBytes(now.name())).isEqualTo(bytes);
        assertThat(now.image()).hasSize(bytes);
    }

    @Test
    void growsUnderAMountedFilesystem() throws IOException {
        Answer device = created("sizeMb", 16);
        Path directory = mounted(device);
        Files.write(directory.resolve("old"), new byte[MIB]);

        Answer grown = agent.patch(device.id(), "sizeBytes", 64 * MIB).expect(200);

        assertThat(grown.number("diskSeq")).isEqualTo(device.number("diskSeq"));
        assertSize(device, 64L * MIB);
        Files.write(directory.resolve("new"), new byte[MIB]);
        unmount(directory);
        // Not while it is mounted: that takes CAP_SYS_RESOURCE, which root may lack in a container.
        Kernel.output("e2fsck", "-f", "-p", device.node());
        Kernel.output("resize2fs", device.node());
        Path larger = mountedAs(device, "larger");
        Files.write(larger.resolve("large"), new byte[32 * MIB]);
        assertThat(larger.resolve("old")).hasSize(MIB);
        assertThat(larger.resolve("new")).hasSize(MIB);
    }

    @Test
    void growsADetachedDevice() {
        Answer device = created("sizeMb", 2);
        agent.detach(device.id()).expect(200);

        assertThat(agent.patch(device.id(), "sizeBytes", 4 * MIB).expect(200).number("imageSizeBytes"))
                .isEqualTo(4L * MIB);
        agent.attach(device.id()).expect(200);
        assertSize(device, 4L * MIB);
    }

    @Test
    void reservesTheSpaceThatAFullImageGrowsBy() {
        Answer device = created("sizeMb", 2, "allocation", "FULL");

        Answer grown = agent.patch(device.id(), "sizeBytes", 6 * MIB).expect(200);

        assertThat(grown.number("allocatedBytes")).isGreaterThanOrEqualTo(6L * MIB);
    }

    @Test
    void shrinksOnlyWhenThatIsAllowed() {
        Answer device = created("sizeMb", 4);

        agent.patch(device.id(), "sizeBytes", 2 * MIB).refusedField("sizeBytes");
        agent.patch(device.id(), "sizeBytes", 2 * MIB, "allowShrink", false).refusedField("sizeBytes");
        assertSize(device, 4L * MIB);
        agent.patch(device.id(), "sizeBytes", 2 * MIB, "allowShrink", true).expect(200);
        assertSize(device, 2L * MIB);
    }

    @Test
    void refusesToResizeAFixedSectionOrAReadOnlyDevice() {
        Answer section = created("sizeMb", 4, "sizeLimitBytes", MIB);
        Answer readOnly = created("sizeMb", 4, "readOnly", true);

        agent.patch(section.id(), "sizeBytes", 8 * MIB).refusedField("sizeBytes");
        agent.patch(readOnly.id(), "sizeBytes", 8 * MIB).refusedField("sizeBytes");
        assertThat(section.image()).hasSize(4L * MIB);
        assertThat(readOnly.image()).hasSize(4L * MIB);
    }

    @Test
    void switchesDirectIoOnAndOff() {
        Answer device = created("sizeMb", 2);

        for (String wanted : List.of("REQUIRE", "OFF", "PREFER", "OFF")) {
            boolean on = !wanted.equals("OFF");
            assertThat(agent.patch(device.id(), "directIo", wanted).expect(200).flag("directIo"))
                    .as(wanted)
                    .isEqualTo(on);
            assertThat(Kernel.device(images, device.name()).path("dio").asBoolean())
                    .isEqualTo(on);
        }
    }

    @Test
    void remembersDirectIoWhileDetached() {
        Answer device = created("sizeMb", 2, "directIo", "REQUIRE");
        assertThat(device.flag("directIo")).isTrue();
        agent.detach(device.id()).expect(200);

        assertThat(agent.attach(device.id()).expect(200).flag("directIo")).isTrue();
        agent.detach(device.id()).expect(200);
        agent.patch(device.id(), "directIo", "OFF").expect(200);
        assertThat(agent.attach(device.id()).expect(200).flag("directIo")).isFalse();
    }

    @Test
    void setsTheSectorSize() {
        Answer device = created("sizeMb", 2);

        assertThat(agent.patch(device.id(), "sectorSize", 4096).expect(200).number("sectorSize"))
                .isEqualTo(4096);
        assertThat(Kernel.output("blockdev", "--getss", device.node())).isEqualTo("4096");
        agent.detach(device.id()).expect(200);
        agent.patch(device.id(), "sectorSize", 1024).expect(200);
        Answer again = agent.attach(device.id()).expect(200);
        assertThat(Kernel.output("blockdev", "--getss", again.node())).isEqualTo("1024");
    }

    @Test
    void refusesASectorSizeThatDoesNotDivideTheDevice() {
        Answer device = created("sizeBytes", MIB + 512);

        agent.patch(device.id(), "sectorSize", 4096).refusedField("sectorSize");

        assertThat(Kernel.output("blockdev", "--getss", device.node())).isEqualTo("512");
    }

    /** The fault: the new size was held against the old sector size. */
    @Test
    void setsASizeThatOnlyTheNewSectorSizeDivides() {
        Answer device = created("sizeBytes", 8192, "sectorSize", 4096);

        Answer finer =
                agent.patch(device.id(), "sizeBytes", 8704, "sectorSize", 512).expect(200);
        assertThat(finer.number("sectorSize")).isEqualTo(512);
        assertSize(device, 8704);
        Answer coarser =
                agent.patch(device.id(), "sizeBytes", 12288, "sectorSize", 4096).expect(200);
        assertThat(coarser.number("sectorSize")).isEqualTo(4096);
        assertSize(device, 12288);
        agent.patch(device.id(), "sizeBytes", 8 * MIB + 512, "sectorSize", 1024).refusedField("sectorSize");
        assertSize(device, 12288);
        assertThat(Kernel.output("blockdev", "--getss", device.node())).isEqualTo("4096");
    }

    @Test
    void replacesLabels() {
        Answer device = created("sizeMb", 2, "labels", Map.of("a", "1", "b", "2"));

        JsonNode labels =
                agent.patch(device.id(), "labels", Map.of("b", "3")).expect(200).field("labels");

        assertThat(labels).isEqualTo(Agent.parse("{\"b\": \"3\"}"));
        assertThat(agent.patch(device.id(), "labels", Map.of())
                        .expect(200)
                        .field("labels")
                        .isEmpty())
                .isTrue();
    }

    @Test
    void takesAnEmptyObjectWhereNoBodyIsTaken() {
        String path = "/loop-devices/" + created("sizeMb", 2).id();

        assertThat(agent.send("POST", path + "/detach", "{}").expect(200).text("state"))
                .isEqualTo("DETACHED");
        assertThat(agent.send("POST", path + "/attach", "{}").expect(200).text("state"))
                .isEqualTo("READY");
        agent.send("DELETE", path, "{}").expect(204);
    }

    @Test
    void changesNothingWhenNothingIsAsked() {
        Answer device = created("sizeMb", 2);

        Answer patched = agent.patch(device.id()).expect(200);

        assertThat(patched.number("diskSeq")).isEqualTo(device.number("diskSeq"));
        assertSize(device, 2L * MIB);
    }

    /** A filesystem whose disk has sectors of 4 KiB: direct I/O cannot serve a loop device with smaller ones. */
    private Path coarseFilesystem() throws IOException {
        Answer disk = created("sizeMb", 64, "sectorSize", 4096);
        return mounted(disk);
    }

    @Test
    void undoesTheGrowthWhenDirectIoThenFails() throws IOException {
        Answer device = created("sizeMb", 4, "imagePath", coarseFilesystem().toString(), "labels", Map.of("a", "1"));

        agent.patch(device.id(), "sizeBytes", 8 * MIB, "directIo", "REQUIRE", "labels", Map.of("a", "2"))
                .refused(409, "direct-io-unavailable");

        assertSize(device, 4L * MIB);
        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.flag("directIo")).isFalse();
        assertThat(now.field("labels")).isEqualTo(device.field("labels"));
        agent.delete(device.id()).expect(204);
    }

    @Test
    void undoesTheGrowthAndTheDirectIoWhenTheSectorSizeIsRefused() {
        Answer device = created("sizeMb", 4);

        agent.patch(device.id(), "sizeBytes", 8 * MIB, "directIo", "REQUIRE", "sectorSize", MIB)
                .refusedField("sectorSize");

        assertSize(device, 4L * MIB);
        assertThat(agent.device(device.id()).expect(200).flag("directIo")).isFalse();
    }

    @Test
    void leavesNothingWhenRequiredDirectIoIsNotToBeHad() throws IOException {
        String coarse = coarseFilesystem().toString();
        Belongings before = belongings();

        agent.create("sizeMb", 4, "imagePath", coarse, "directIo", "REQUIRE").refused(409, "direct-io-unavailable");

        assertThat(belongings()).isEqualTo(before);
        Answer preferred = created("sizeMb", 4, "imagePath", coarse, "directIo", "PREFER");
        assertThat(preferred.flag("directIo")).isFalse();
        agent.delete(preferred.id()).expect(204);
    }
}
