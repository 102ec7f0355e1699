package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** A device that somebody uses is neither detached nor deleted, and the refusal changes nothing. */
abstract class BusyDeviceContract extends HttpTest {

    /** Tries to take the device away in both ways, and returns who is said to use it. */
    private List<JsonNode> refusesToTakeAway(Answer device) {
        Answer delete = agent.delete(device.id()).refused(409, "device-busy");
        Answer detach = agent.detach(device.id()).refused(409, "device-busy");
        assertThat(detach.list("users")).isEqualTo(delete.list("users"));
        assertThat(agent.users(device.id()).expect(200).list("items")).isEqualTo(delete.list("users"));

        Answer now = agent.device(device.id()).expect(200);
        assertThat(now.text("state")).isEqualTo("READY");
        assertThat(now.flag("autoclear")).isFalse();
        assertThat(now.number("diskSeq")).isEqualTo(device.number("diskSeq"));
        assertThat(now.etag()).isEqualTo(device.etag());
        assertThat(device.image()).exists();
        JsonNode witness = Kernel.device(images, device.name());
        assertThat(witness.path("autoclear").asBoolean()).isFalse();
        assertThat(witness.path("back-file").asString())
                .isEqualTo(device.image().toString());
        return delete.list("users");
    }

    @Test
    void refusesAMountedDevice() throws IOException {
        Answer device = created("sizeMb", 8);
        Path directory = mounted(device);

        assertThat(refusesToTakeAway(device)).anySatisfy(user -> {
            assertThat(user.path("kind").asString()).isEqualTo("MOUNT");
            assertThat(user.path("target").asString()).isEqualTo(directory.toString());
        });

        assertThat(Kernel.isMounted(directory)).isTrue();
        Files.writeString(directory.resolve("file"), "still writable");
    }

    @Test
    void refusesADeviceThatIsSwappedOn() {
        Answer device = created("sizeMb", 4, "allocation", "FULL");
        Kernel.output("mkswap", device.node());
        Kernel.output("swapon", device.node());
        afterwards(() -> Kernel.output("swapoff", device.node()));

        assertThat(refusesToTakeAway(device))
                .extracting(user -> user.path("kind").asString())
                .contains("SWAP");
        assertThat(Kernel.output("swapon", "--show=NAME", "--noheadings")).contains(device.node());
    }

    @Test
    void refusesADeviceThatAProcessHasOpen() throws IOException {
        Answer device = created("sizeMb", 4);
        Process other = new ProcessBuilder("sleep", "60")
                .redirectInput(Path.of(device.node()).toFile())
                .start();
        afterwards(other::destroy);

        assertThat(refusesToTakeAway(device)).singleElement().satisfies(user -> {
            assertThat(user.path("kind").asString()).isEqualTo("PROCESS");
            assertThat(user.path("pid").asLong()).isEqualTo(other.pid());
            assertThat(user.path("command").asString()).isEqualTo("sleep");
        });

        other.destroy();
        other.onExit().join();
        agent.delete(device.id()).expect(204);
    }

    /** Guards against refusing for somebody who merely lists all devices: losetup opens each for a moment. */
    @Test
    void isNotRefusedForALookInPassing() throws IOException {
        Process lister = new ProcessBuilder("sh", "-c", "while :; do losetup --list; done")
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        afterwards(lister::destroy);
        for (int i = 0; i < 30; i++) {
            agent.delete(created("sizeMb", 1).id()).expect(204);
        }
        assertThat(lister.isAlive()).isTrue();
    }

    /** The agent does not count its own descriptors; here the test's are its own too. Still it must not lie. */
    @Test
    void refusesADeviceThatTheAgentsOwnProcessHasOpen() throws IOException {
        Answer device = created("sizeMb", 4);
        try (FileChannel open = FileChannel.open(Path.of(device.node()), StandardOpenOption.READ)) {
            agent.delete(device.id()).refused(409, "device-busy");

            assertThat(Kernel.device(images, device.name()).path("autoclear").asBoolean())
                    .isFalse();
            assertThat(open.read(ByteBuffer.allocate(512))).isEqualTo(512);
        }
        agent.delete(device.id()).expect(204);
    }

    @Test
    void refusesADeviceUnderAnotherLoopDevice() throws IOException {
        Answer device = created("sizeMb", 4);
        String above = foreign(Path.of(device.node()));

        assertThat(refusesToTakeAway(device)).anySatisfy(user -> {
            assertThat(user.path("kind").asString()).isEqualTo("LOOP");
            assertThat(user.path("target").asString()).endsWith(above);
        });

        detachForeign(above, Path.of(device.node()));
        agent.detach(device.id()).expect(200);
    }

    @Test
    void refusesToChangeTheSectorSizeOfAMountedDevice() throws IOException {
        Answer device = created("sizeMb", 8);
        mounted(device);

        agent.patch(device.id(), "sectorSize", 4096).refused(409, "device-busy");

        assertThat(Kernel.output("blockdev", "--getss", device.node())).isEqualTo("512");
    }

    @Test
    void refusesToShrinkAMountedDevice() throws IOException {
        Answer device = created("sizeMb", 8);
        mounted(device);

        agent.patch(device.id(), "sizeBytes", 4 * MIB, "allowShrink", true).refused(409, "device-busy");

        assertThat(Kernel.sizeBytes(device.name())).isEqualTo(8L * MIB);
        assertThat(device.image()).hasSize(8L * MIB);
    }

    @Test
    void showsNoUsersOfADeviceThatNobodyUses() {
        Answer device = created("sizeMb", 4);

        assertThat(agent.users(device.id()).expect(200).list("items")).isEmpty();
        assertThat(agent.users(device.name()).expect(200).list("items")).isEmpty();
    }
}
