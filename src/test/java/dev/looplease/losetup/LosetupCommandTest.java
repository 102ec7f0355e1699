package dev.looplease.losetup;

import static dev.looplease.losetup.LoopFixture.MIB;
import static dev.looplease.losetup.LoopFixture.like;
import static dev.looplease.losetup.LoopFixture.soon;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.looplease.losetup.LoopFixture.Image;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The contract by losetup, and a losetup that misbehaves: a script in its place. */
class LosetupCommandTest extends LosetupContract {

    private LoopFixture mine;

    @Override
    Losetup create() {
        return new LosetupCommand();
    }

    @BeforeEach
    void startMine() {
        mine = new LoopFixture(directory);
    }

    @AfterEach
    void cleanUpMine() throws IOException {
        mine.close();
    }

    /** A losetup that does {@code onAttach} when it is to attach, and is the real one in all else. */
    private LosetupCommand fake(String onAttach, Duration timeout) throws IOException {
        Path script = Files.writeString(directory.resolve("losetup"), """
                #!/bin/sh
                case "$*" in
                *--show*)
                %s
                ;;
                *) exec losetup "$@" ;;
                esac
                """.formatted(onAttach));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        return new LosetupCommand(script.toString(), timeout, Path.of("/dev"), Path.of("/sys"));
    }

    private LosetupCommand fake(String onAttach) throws IOException {
        return fake(onAttach, LosetupCommand.TIMEOUT);
    }

    private void assertNothingBound(Image image) {
        soon().until(() -> mine.boundTo(image).isEmpty());
    }

    /** Guards against waiting for ever, also for a grandchild that holds the pipe. */
    @Test
    void killsALosetupThatHangs() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("sleep 60", Duration.ofSeconds(1));

        long start = System.nanoTime();
        assertThatExceptionOfType(LosetupException.TimedOut.class).isThrownBy(() -> losetup.attach(image.attachment()));
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(20));
        assertNothingBound(image);
    }

    /** Guards against leaking what was bound before the time was over; losetup's name is then still unprinted. */
    @Test
    void undoesWhatAHangingLosetupHasBound() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("losetup \"$@\" >/dev/null; sleep 60", Duration.ofSeconds(2));

        assertThatExceptionOfType(LosetupException.TimedOut.class).isThrownBy(() -> losetup.attach(image.attachment()));
        assertNothingBound(image);
    }

    /** Guards against believing an exit code of 0. */
    @Test
    void doesNotBelieveExitCodeZero() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("exit 0");

        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> losetup.attach(image.attachment()))
                .withMessageContaining("bound nothing");
    }

    /** Guards against believing what it prints: the device is found by its image. */
    @Test
    void findsTheDeviceBehindGarbage() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("losetup \"$@\" >/dev/null; echo 'warning: ??'; head -c 300000 /dev/zero >&2");

        LoopDevice device = mine.track(losetup.attach(image.attachment()));

        assertThat(mine.boundTo(image)).singleElement().satisfies(like(device));
    }

    /** Guards against clearing a stranger's device because our attach failed (systemd PR 14261). */
    @Test
    void leavesADeviceAloneThatItDidNotBind() throws Exception {
        LoopDevice strange = mine.stranger(mine.unusedNumber());
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("echo " + strange.path());

        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> losetup.attach(image.attachment()));
        assertThat(losetup.inspect(strange.number())).hasValueSatisfying(like(strange));
    }

    /** The same where the stranger maps the same section of the same image. */
    @ParameterizedTest
    @CsvSource({"echo /dev/loop%d", "exit 1", "exit 0", "sleep 60"})
    void leavesAnEqualAttachmentOfSomebodyElseAlone(String act) throws Exception {
        Image image = mine.image(MIB);
        int number = mine.unusedNumber();
        LoopDevice strange = mine.track(new LosetupIoctl().attach(image.at(number)));
        LosetupCommand losetup = fake(act.replace("%d", Integer.toString(number)), Duration.ofSeconds(1));

        assertThatExceptionOfType(LosetupException.class).isThrownBy(() -> losetup.attach(image.attachment()));
        assertThat(losetup.inspect(number)).hasValueSatisfying(like(strange));
    }

    /** What is bound as was asked is a success: losetup exits 1 where only preferred direct I/O could not be set. */
    @Test
    void acceptsAFailureThatDidEverything() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("losetup \"$@\"; echo 'set direct io failed' >&2; exit 1");

        LoopDevice device = mine.track(losetup.attach(image.attachment()));

        assertThat(losetup.inspect(device.number())).contains(device);
    }

    /** Guards against leaking a device where losetup fails after it has bound. */
    @Test
    void undoesAFailureAfterBinding() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = fake("losetup --find --show " + image.path() + "; exit 1");

        assertThatExceptionOfType(LosetupException.NotGranted.class)
                .isThrownBy(() -> losetup.attach(image.section(0, 0, 4096, DirectIo.OFF)))
                .satisfies(e -> assertThat(e.feature()).isEqualTo("sectorSize"));
        assertNothingBound(image);
    }

    /** Guards against a path that leads elsewhere since the image was opened. */
    @Test
    void undoesAnAttachmentOfAnotherFile() throws Exception {
        Image image = mine.image(MIB);
        Image swapped = mine.image(MIB);
        Files.move(swapped.path(), image.path(), StandardCopyOption.REPLACE_EXISTING);

        assertThatExceptionOfType(LosetupException.Moved.class)
                .isThrownBy(() -> new LosetupCommand().attach(image.attachment()))
                .withMessageContaining("another file");
        assertNothingBound(image);
        assertNothingBound(swapped);
    }

    /** The fault: only where the path led when all was over was looked for. */
    @Test
    void undoesAnAttachmentOfAFileThatWasThereForAMoment() throws Exception {
        Image image = mine.image(MIB);
        Image other = mine.image(MIB);
        Path aside = directory.resolve("aside");
        LosetupCommand losetup = fake("""
                mv %1$s %2$s; ln -s %3$s %1$s
                losetup "$@"
                rm %1$s; mv %2$s %1$s
                (i=0; while [ $i -lt 200 ]; do
                  mv %1$s %2$s; ln -s %3$s %1$s; rm %1$s; mv %2$s %1$s; i=$((i + 1))
                done) > /dev/null 2>&1 &
                """.formatted(image.path(), aside, other.path()));

        assertThatExceptionOfType(LosetupException.Moved.class).isThrownBy(() -> losetup.attach(image.attachment()));
        assertNothingBound(other);
        assertNothingBound(image);
    }

    /** Guards against a container's private /dev: losetup gives up where the free device's node is "lost". */
    @Test
    void makesTheNodeThatLosetupMisses() throws Exception {
        Path dev = Files.createDirectory(directory.resolve("dev"));
        fake("""
                free=$(losetup -f)
                [ -b %s/${free#/dev/} ] || exit 1
                exec losetup "$@"
                """.formatted(dev));
        LosetupCommand losetup = new LosetupCommand(
                directory.resolve("losetup").toString(), LosetupCommand.TIMEOUT, dev, Path.of("/sys"));

        LoopDevice device = mine.track(losetup.attach(mine.image(MIB).attachment()));

        assertThat(dev.resolve(device.name())).exists();
        LoopFixture.detach(losetup, device.identity());
    }

    /** Guards against clearing the AUTOCLEAR of an equal device, by which a mount -o loop lives. */
    @Test
    void doesNotRetainWhereAnotherDeviceMapsTheImage() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = new LosetupCommand();
        LoopDevice device = mine.track(losetup.attach(image.attachment()));
        LoopDevice equal = mine.track(losetup.attach(image.attachment()));
        try (LoopHandle handle = losetup.open(device.identity()).orElseThrow()) {
            handle.clear();
            assertThatExceptionOfType(LosetupException.Refused.class)
                    .isThrownBy(handle::retain)
                    .withMessageContaining(equal.name());
        }
    }

    @Test
    void doesNotRetainWithoutTheImagesName() throws Exception {
        Image image = mine.image(MIB);
        LosetupCommand losetup = new LosetupCommand();
        LoopDevice device = mine.track(losetup.attach(image.attachment()));
        Files.delete(image.path());
        try (LoopHandle handle = losetup.open(device.identity()).orElseThrow()) {
            handle.clear();
            assertThatExceptionOfType(LosetupException.Refused.class).isThrownBy(handle::retain);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "losetup: a.img: failed to set up loop device: Invalid argument | EINVAL",
                "losetup: /dev/loop901: failed to use device: No such device | ENODEV",
                "losetup: something new | unknown",
                "'' | unknown"
            })
    void namesTheErrnoWhereOnlyTheMessageTells(String complaint, String errno) {
        assertThat(LosetupCommand.errnoName(complaint)).isEqualTo(errno);
    }
}
