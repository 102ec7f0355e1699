package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** What somebody does to an image behind the agent's back is told, and never made worse. */
@KernelTest
class MeddlingTest extends HttpTest {

    private static void cutOff(Path file, long bytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(bytes);
        }
    }

    /** The fault: detaching destroyed the only copy of the data, and was answered 200. */
    @Test
    void aDeviceWhoseImageHasNoNameIsNotDetached() throws IOException {
        Answer device = created("sizeMb", 8);
        Path directory = mounted(device);
        Files.writeString(directory.resolve("note"), "the only copy");
        unmount(directory);
        Files.delete(device.image());
        Answer before = agent.device(device.id()).expect(200);
        assertThat(before.flag("backingFileDeleted")).isTrue();

        Answer refused = agent.detach(device.id()).refused(409, "wrong-state");

        assertThat(refused.text("detail")).contains("not under its name any more", "DELETE");
        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.etag()).isEqualTo(before.etag());
        assertThat(now.text("state")).isEqualTo("READY");
        assertThat(now.number("diskSeq")).isEqualTo(device.number("diskSeq"));
        assertThat(mountedAs(device, "still").resolve("note")).hasContent("the only copy");
    }

    /** The fault: 400 for an imagePath that PATCH does not have. */
    @Test
    void aDeviceWhoseImageHasNoNameIsNotResized() throws IOException {
        Answer device = created("sizeMb", 2);
        Files.delete(device.image());

        agent.patch(device.id(), "sizeBytes", 4 * MIB).refused(409, "wrong-state");
        agent.patch(device.id(), "sectorSize", 4096).refused(409, "wrong-state");

        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.etag()).isEqualTo(device.etag());
        assertThat(now.number("imageSizeBytes")).isEqualTo(2L * MIB);
        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(2L * MIB);
        agent.delete(device.id()).expect(204);
    }

    @Test
    void aDetachedDeviceTellsThatItsImageIsGone() throws IOException {
        Answer device = created("sizeMb", 2);
        assertThat(agent.detach(device.id()).expect(200).flag("backingFileDeleted"))
                .isFalse();
        Files.delete(device.image());

        Answer now = agent.device(device.id()).expect(200);

        assertThat(now.flag("backingFileDeleted")).isTrue();
        assertThat(now.field("imageSizeBytes").isNull()).isTrue();
        agent.attach(device.id()).refused(410, "ended");
    }

    /** The faults: the length from before was told, and attaching was a 400 for a field of a body that was not sent. */
    @Test
    void anImageThatWasCutOffIsAttachedAgainWhenItHasItsLengthBack() throws IOException {
        Answer device = created("sizeMb", 2, "sectorSize", 4096);
        agent.detach(device.id()).expect(200);
        cutOff(device.image(), 1000);

        assertThat(agent.device(device.id()).expect(200).number("imageSizeBytes"))
                .isEqualTo(1000);
        Answer refused = agent.attach(device.id()).refused(409, "wrong-state");

        assertThat(refused.text("detail")).contains("1000 bytes now");
        assertThat(agent.device(device.id()).expect(200).text("state")).isEqualTo("DETACHED");
        cutOff(device.image(), 2 * MIB);
        assertThat(agent.attach(device.id()).expect(200).number("sizeBytes")).isEqualTo(2L * MIB);
    }

    /** The fault: two writers of one file, without a word. */
    @Test
    void anImageThatSomebodyElseAttachedMeanwhileIsNotAttachedAgain() throws IOException {
        Answer device = created("sizeMb", 2);
        agent.detach(device.id()).expect(200);
        String theirs = foreign(device.image());

        Answer refused = agent.attach(device.id()).refused(409, "image-overlap");

        assertThat(refused.text("detail")).startsWith("Another loop device of this host maps this part");
        assertThat(agent.device(device.id()).expect(200).text("state")).isEqualTo("DETACHED");
        detachForeign(theirs, device.image());
        soon().until(() -> !Kernel.isAttached(theirs));
        foreign(device.image(), "--read-only");
        agent.attach(device.id()).expect(200);
    }

    @Test
    void anEmptyFileIsRefusedAsSuch() {
        Path empty = userFile("empty.img", 0);

        Answer refused = agent.create("imagePath", empty.toString(), "reuseFile", true);

        refused.refusedField("imagePath");
        assertThat(refused.text("detail")).contains("empty");
    }

    /** The fault: the advice to reuse what cannot be reused. */
    @Test
    void whatIsNoFileIsNotSaidToBeReusable() {
        Path fifo = userFiles.resolve("fifo");
        Kernel.output("mkfifo", fifo.toString());

        Answer refused = agent.create("imagePath", fifo.toString(), "sizeMb", 1).refused(409, "image-exists");

        assertThat(refused.text("detail")).contains("no regular file").doesNotContain("reuseFile");
    }
}
