package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Others take our numbers and move our files. Whatever way a device ends then, nothing of theirs is detached or deleted.
 */
@KernelTest
class ForeignHandsTest {

    /** How a device comes to its end. */
    enum End {
        DELETE,
        FORCE,
        EXPIRY,
        RECOVERY
    }

    @TempDir
    private Path home;

    private static void end(Bench bench, LoopSnapshot device, End how) throws IOException {
        switch (how) {
            case DELETE -> bench.deleted(device);
            case FORCE -> {
                bench.force(device);
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            }
            case EXPIRY -> {
                bench.advance(Duration.ofSeconds(61));
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            }
            case RECOVERY -> {
                bench.restart();
                // Expired while nobody looked: after the grace nothing of it is left.
                bench.advance(Duration.ofSeconds(75));
                bench.inTime(() -> assertThat(bench.managed()).isEmpty());
            }
        }
    }

    /** Somebody detaches our device, and somebody attaches a file of theirs to that number; they may be the same. */
    private String steal(Bench bench, LoopSnapshot device, Path theirs) throws IOException {
        Bench.run("losetup", "--detach", Bench.node(device));
        int number = device.observed().orElseThrow().number();
        try {
            return bench.foreign(theirs, OptionalInt.of(number));
        } catch (AssertionError takenByYetAnother) {
            // Another program on this host has it: a stranger too, but not one whose file we can watch.
            return bench.foreign(theirs, OptionalInt.empty());
        }
    }

    private Path theirFile(String name) throws IOException {
        Path file = home.toRealPath().resolve(name);
        try (RandomAccessFile made = new RandomAccessFile(file.toFile(), "rw")) {
            made.setLength(Bench.MIB);
            made.writeUTF("theirs");
        }
        return file;
    }

    private void assertUntouched(String name, Path theirs) {
        assertThat(theirs).exists();
        assertThat(Bench.read(Path.of("/sys/block", name, "loop/backing_file")))
                .as("what %s maps", name)
                .contains(theirs.toString());
        assertThat(Bench.read(Path.of("/sys/block", name, "loop/autoclear"))).contains("0");
    }

    @ParameterizedTest
    @CsvSource({
        "IOCTL, DELETE", "IOCTL, FORCE", "IOCTL, EXPIRY", "IOCTL, RECOVERY",
        "LOSETUP, DELETE", "LOSETUP, FORCE", "LOSETUP, EXPIRY", "LOSETUP, RECOVERY"
    })
    void aStrangerOnOurNumberStaysThere(Backend backend, End how) throws IOException {
        Path theirs = theirFile("theirs");
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            String name = steal(bench, device, theirs);

            end(bench, device, how);

            assertUntouched(name, theirs);
            assertThat(bench.imageFiles()).isEmpty();
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void aStrangerOnOurNumberIsForeignAndOursIsDetached(Backend backend) throws IOException {
        Path theirs = theirFile("theirs");
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            String etag = device.etag();
            String name = steal(bench, device, theirs);
            DeviceRef byName = DeviceRef.parse(name);

            assertThat(bench.service.get(byName, Bench.OWNER).managed()).isEmpty();
            assertThatThrownBy(
                            () -> bench.service.delete(byName, new Precondition.OneOf(Set.of(etag)), true, Bench.OWNER))
                    .isInstanceOf(LoopException.NotManaged.class);
            bench.advance(Duration.ofSeconds(1));
            assertThat(bench.state(device)).contains(LoopState.DETACHED);

            assertThat(Bench.name(bench.attach(device))).isNotEqualTo(name);
            assertUntouched(name, theirs);
        }
    }

    /** They attach the image of a device that is detached: what no record of ours announced is not our attachment. */
    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void whoAttachesADetachedImageKeepsTheirDeviceAfterARestart(Backend backend) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            Path image = Bench.image(device);
            bench.detach(device);
            String name = bench.foreign(image, OptionalInt.empty());

            bench.restart();

            assertThat(bench.state(device)).contains(LoopState.DETACHED);
            bench.deleted(device);
            assertThat(Bench.read(Path.of("/sys/block", name, "loop/backing_file")))
                    .contains(image + " (deleted)");
            assertThat(Bench.read(Path.of("/sys/block", name, "loop/autoclear")))
                    .contains("0");
            Bench.detachForeign(name, image);
        }
    }

    /** They attach our own image, to our number: another attachment, and so not ours. */
    @ParameterizedTest
    @CsvSource({"IOCTL, DELETE", "IOCTL, EXPIRY", "IOCTL, RECOVERY", "LOSETUP, DELETE", "LOSETUP, EXPIRY"})
    void whoAttachesOurImageAnewKeepsTheirDevice(Backend backend, End how) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            Path image = Bench.image(device);
            String name = steal(bench, device, image);

            end(bench, device, how);

            assertThat(Bench.read(Path.of("/sys/block", name, "loop/backing_file")))
                    .contains(image + " (deleted)");
            Bench.detachForeign(name, image);
        }
    }

    /**
     * The faults guarded: in a container with a /dev of its own a file is called like our node, and a loop device on it was
     * taken for one on ours and detached; a tmpfs whose source is that name was unmounted.
     */
    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void whatIsOnlyCalledLikeOurNodeIsLeftAlone(Backend backend) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            Path point = bench.mounted(device);
            Path theirPoint = bench.foreignMount("tmpfs", Bench.node(device));
            String theirLoop = bench.foreignBehindItsOwnDev(device);

            end(bench, device, End.EXPIRY);

            assertThat(Bench.isMounted(point)).isFalse();
            assertThat(Bench.isMounted(theirPoint)).isTrue();
            assertUntouched(theirLoop, Path.of(Bench.node(device)));
        }
    }

    /** What somebody does to the file behind a device. */
    enum Meddling {
        RENAMED,
        REPLACED,
        DELETED;

        void with(Path image, Path elsewhere) throws IOException {
            switch (this) {
                case RENAMED -> Files.move(image, elsewhere);
                case REPLACED -> {
                    Files.move(image, elsewhere);
                    Files.writeString(image, "theirs");
                }
                case DELETED -> Files.delete(image);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "IOCTL, RENAMED, DELETE",
        "IOCTL, RENAMED, EXPIRY",
        "IOCTL, RENAMED, RECOVERY",
        "IOCTL, REPLACED, DELETE",
        "IOCTL, REPLACED, EXPIRY",
        "IOCTL, REPLACED, RECOVERY",
        "IOCTL, DELETED, DELETE",
        "IOCTL, DELETED, EXPIRY",
        "IOCTL, DELETED, RECOVERY",
        "LOSETUP, RENAMED, DELETE",
        "LOSETUP, RENAMED, EXPIRY",
        "LOSETUP, RENAMED, RECOVERY",
        "LOSETUP, REPLACED, DELETE",
        "LOSETUP, REPLACED, EXPIRY",
        "LOSETUP, REPLACED, RECOVERY",
        "LOSETUP, DELETED, DELETE",
        "LOSETUP, DELETED, EXPIRY",
        "LOSETUP, DELETED, RECOVERY"
    })
    void anAttachedDeviceEndsWhateverBecameOfItsFile(Backend backend, Meddling meddling, End how) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            Path image = Bench.image(device);
            Path elsewhere = bench.home.resolve("elsewhere");
            meddling.with(image, elsewhere);
            assertThat(bench.state(device)).contains(LoopState.READY);
            assertThat(bench.get(device).observed().orElseThrow().backingFileDeleted())
                    .isEqualTo(meddling == Meddling.DELETED);

            end(bench, device, how);

            assertLeftAlone(meddling, image, elsewhere);
            assertThat(bench.bound()).isEmpty();
        }
    }

    private static void assertLeftAlone(Meddling meddling, Path image, Path elsewhere) throws IOException {
        if (meddling == Meddling.REPLACED) {
            assertThat(image).hasContent("theirs");
            Files.delete(image);
        }
        if (meddling != Meddling.DELETED) {
            assertThat(elsewhere).hasSize(Bench.MIB);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "IOCTL, RENAMED, DELETE", "IOCTL, RENAMED, EXPIRY",
        "IOCTL, REPLACED, DELETE", "IOCTL, REPLACED, EXPIRY",
        "IOCTL, REPLACED, RECOVERY", "IOCTL, DELETED, EXPIRY",
        "LOSETUP, REPLACED, DELETE", "LOSETUP, REPLACED, RECOVERY"
    })
    void aDetachedDeviceEndsWhateverBecameOfItsFile(Backend backend, Meddling meddling, End how) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.detach(bench.create());
            Path image = Bench.image(device);
            Path elsewhere = bench.home.resolve("elsewhere");
            meddling.with(image, elsewhere);

            end(bench, device, how);

            assertLeftAlone(meddling, image, elsewhere);
        }
    }

    /** With a name of its own in the images directory somebody's file would be an orphan; anywhere else it never is. */
    @ParameterizedTest
    @CsvSource({"IOCTL, true", "IOCTL, false", "LOSETUP, true", "LOSETUP, false"})
    void recoveryKeepsAFileThatTookThePlaceOfAnImageElsewhere(Backend backend, boolean attached) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            Path image = bench.home.resolve("disk.raw");
            LoopSnapshot device =
                    bench.create(Bench.spec(Bench.MIB, image, dev.looplease.image.Allocation.SPARSE), Bench.terms(60));
            if (!attached) {
                bench.detach(device);
            }
            Path elsewhere = bench.home.resolve("elsewhere");
            Meddling.REPLACED.with(image, elsewhere);

            bench.restart();
            bench.advance(Duration.ofSeconds(75));
            bench.inTime(() -> assertThat(bench.managed()).isEmpty());

            assertThat(image).hasContent("theirs");
            assertThat(elsewhere).hasSize(Bench.MIB);
            assertThat(bench.bound()).isEmpty();
        }
    }

    /** The fault guarded: losetup cannot take a pending detach back without the file's name; DELETE said 400 and detached later. */
    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void aDeviceInUseWhoseFileIsDeletedIsStillRefused(Backend backend) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            LoopSnapshot device = bench.create();
            Process opener = bench.opener(Path.of(Bench.node(device)));
            Files.delete(Bench.image(device));

            assertThatThrownBy(() -> bench.delete(device)).isInstanceOf(LoopException.DeviceBusy.class);

            assertThat(bench.get(device).observed().orElseThrow().autoclear()).isFalse();
            Bench.end(opener);
            assertThat(bench.state(device)).contains(LoopState.READY);
        }
    }
}
