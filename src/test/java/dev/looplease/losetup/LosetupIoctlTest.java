package dev.looplease.losetup;

import static dev.looplease.losetup.LoopFixture.MIB;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** The contract by ioctls, and what only they can. */
class LosetupIoctlTest extends LosetupContract {

    @Override
    Losetup create() {
        return new LosetupIoctl();
    }

    @Test
    void worksHere() {
        assertThat(new LosetupIoctl().obstacle()).isEmpty();
    }

    @Test
    void saysWhatIsInTheWay() {
        assertThat(new LosetupIoctl(directory, Path.of("/sys")).obstacle())
                .hasValueSatisfying(reason -> assertThat(reason).contains("loop-control", "ENOENT"));
    }

    /** An agent that was killed between attach and its next note finds by the tag what is its own. */
    @Test
    void leavesTheTagInTheKernel() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            String tag = "looplease:".repeat(6) + "abc";
            assertThat(tag).hasSize(Attachment.MAX_TAG);
            LoopFixture.Image image = fixture.image(MIB);
            LoopDevice device = fixture.track(new LosetupIoctl()
                    .attach(new Attachment(
                            image.fd(), image.path(), 0, 0, 512, false, true, DirectIo.OFF, OptionalInt.empty(), tag)));

            try (Fd node = Posix.open(Path.of(device.path()), Posix.O_RDONLY)) {
                assertThat(LoopIoctls.status(node).orElseThrow().tag()).isEqualTo(tag);
            }
        }
    }

    /** Guards against leaving a number to strangers that nobody can write to, because its last user set it read-only. */
    @Test
    void leavesTheNumberWritable() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            Losetup losetup = new LosetupIoctl();
            LoopDevice device = fixture.track(losetup.attach(fixture.image(MIB).at(fixture.unusedNumber())));
            LoopFixture.run("blockdev", "--setro", device.path());

            LoopFixture.detach(losetup, device.identity());

            assertThat(LoopFixture.run("blockdev", "--getro", device.path()).strip())
                    .isEqualTo("0");
        }
    }

    /** Guards against a refused return that has changed the device all the same. */
    @Test
    void leavesADeviceReadOnlyThatSomebodyKeepsOpen() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            Losetup losetup = new LosetupIoctl();
            LoopDevice device = fixture.track(losetup.attach(fixture.image(MIB).attachment()));
            LoopFixture.run("blockdev", "--setro", device.path());

            try (Fd user = Posix.open(Path.of(device.path()), Posix.O_RDONLY);
                    LoopHandle handle = losetup.open(device.identity()).orElseThrow()) {
                handle.clear();
                assertThat(LoopIoctls.isReadOnly(user)).isTrue();
                handle.retain();
            }
        }
    }

    /** Guards against a container's private /dev, where the kernel makes no nodes. */
    @Test
    void makesMissingNodes() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            Path dev = Files.createDirectory(directory.resolve("dev"));
            LoopFixture.run("cp", "-a", "/dev/loop-control", dev.toString());
            Losetup contained = new LosetupIoctl(dev, Path.of("/sys"));

            LoopDevice device =
                    fixture.track(contained.attach(fixture.image(MIB).attachment()));

            Path node = dev.resolve(device.name());
            assertThat(Posix.lstat(node).isBlockDevice()).isTrue();
            assertThat(Posix.lstat(node).represents()).isEqualTo(device.node());
            Files.delete(node);
            assertThat(contained.inspect(device.number())).contains(device);
            Files.delete(node);
            LoopFixture.detach(contained, device.identity());
        }
    }

    /** Guards against trusting a node by its name: in a shared /dev it may stand for another device. */
    @Test
    void doesNotTrustANodeOfAnotherDevice() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            Path dev = Files.createDirectory(directory.resolve("dev"));
            LoopDevice first =
                    fixture.track(new LosetupIoctl().attach(fixture.image(MIB).attachment()));
            LoopDevice second =
                    fixture.track(new LosetupIoctl().attach(fixture.image(MIB).attachment()));
            Posix.makeBlockNode(dev.resolve(first.name()), second.node());
            Losetup misled = new LosetupIoctl(dev, Path.of("/sys"));

            assertThatExceptionOfType(LosetupException.KernelError.class)
                    .isThrownBy(() -> misled.open(first.identity()));
        }
    }

    /** Guards against an open that turns somebody's detach into a lazy one, for each device of each list. */
    @Test
    void opensNothingToListWhatItKnows() throws Exception {
        try (LoopFixture fixture = new LoopFixture(directory)) {
            Path dev = Files.createDirectory(directory.resolve("dev"));
            LoopFixture.run("cp", "-a", "/dev/loop-control", dev.toString());
            Losetup contained = new LosetupIoctl(dev, Path.of("/sys"));
            LoopDevice device =
                    fixture.track(contained.attach(fixture.image(MIB).attachment()));
            Path node = dev.resolve(device.name());
            Files.delete(node);

            assertThat(contained.list(List.of(device.number()))).containsExactly(device);

            assertThat(node).doesNotExist();
        }
    }
}
