package dev.looplease.losetup;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Deque;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;
import org.awaitility.Awaitility;
import org.awaitility.core.ConditionFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Images, devices, strangers and witnesses of one test; closing it takes down what it made, last things first. */
final class LoopFixture implements Closeable {

    static final int MIB = 1 << 20;

    private final Path directory;
    private final LosetupIoctl cleaner = new LosetupIoctl();
    private final Deque<Closeable> undo = new ConcurrentLinkedDeque<>();
    private int files;

    LoopFixture(Path directory) {
        this.directory = directory;
    }

    /** An image file, and how to attach it. */
    record Image(Path path, Fd fd) {

        Attachment attachment() {
            return new Attachment(fd, path, 0, 0, 512, false, false, DirectIo.OFF, OptionalInt.empty(), "test");
        }

        Attachment at(int number) {
            return new Attachment(fd, path, 0, 0, 512, false, false, DirectIo.OFF, OptionalInt.of(number), "test");
        }

        Attachment section(long offset, long sizeLimit) {
            return section(offset, sizeLimit, 512, DirectIo.OFF);
        }

        Attachment section(long offset, long sizeLimit, int sectorSize, DirectIo directIo) {
            return new Attachment(
                    fd, path, offset, sizeLimit, sectorSize, false, false, directIo, OptionalInt.empty(), "test");
        }

        Attachment flags(boolean readOnly, boolean partScan, DirectIo directIo) {
            return new Attachment(fd, path, 0, 0, 512, readOnly, partScan, directIo, OptionalInt.empty(), "test");
        }
    }

    Image image(long size) throws IOException {
        return image(directory.resolve("image-" + ++files), size);
    }

    Image image(Path path, long size) throws IOException {
        Fd fd = Posix.open(path, Posix.O_RDWR | Posix.O_CREAT, 0600);
        Image image = new Image(path, fd);
        undo(fd);
        // What a failed test has left bound to it; nobody else knows of this file.
        undo(() -> {
            for (LoopDevice left : boundTo(image)) {
                detach(cleaner, left.identity());
            }
        });
        Posix.ftruncate(fd, size);
        return image;
    }

    void undo(Closeable act) {
        undo.push(act);
    }

    /** To be detached at the end, if that very attachment is there by then. */
    LoopDevice track(LoopDevice device) {
        undo(() -> detach(cleaner, device.identity()));
        return device;
    }

    /** A number that no device has, above those that the kernel gives away first; its device is removed at the end. */
    int unusedNumber() {
        int number;
        do {
            number = ThreadLocalRandom.current().nextInt(100_000, Attachment.MAX_NUMBER);
        } while (Files.exists(Path.of("/sys/block/loop" + number)));
        int made = number;
        undo(() -> remove(made));
        return number;
    }

    static void remove(int number) throws IOException {
        if (Files.exists(Path.of("/sys/block/loop" + number))) {
            try (Fd control = Posix.open(Path.of("/dev/loop-control"), Posix.O_RDWR)) {
                soon().ignoreExceptionsMatching(e -> e instanceof PosixException busy && busy.errno() == Errno.EBUSY)
                        .until(() -> Posix.ioctl(control, "LOOP_CTL_REMOVE", 0x4C81, number) >= 0);
            }
        }
    }

    /** Somebody else attaches something to that number. */
    LoopDevice stranger(int number) throws Exception {
        Image foreign = image(MIB);
        run("losetup", "/dev/loop" + number, foreign.path().toString());
        return track(cleaner.inspect(number).orElseThrow());
    }

    /** The same device, whichever driver looked: losetup does not tell the tag. */
    static Consumer<LoopDevice> like(LoopDevice expected) {
        return seen -> assertThat(seen)
                .usingRecursiveComparison()
                .ignoringFields("tag")
                .isEqualTo(expected);
    }

    /** What losetup, asked by the test itself, says of a device. */
    static JsonNode witness(LoopDevice device) throws Exception {
        String columns = "NAME,MAJ:MIN,OFFSET,SIZELIMIT,AUTOCLEAR,RO,PARTSCAN,BACK-FILE,BACK-INO,DIO,LOG-SEC";
        return JsonMapper.shared()
                .readTree(run("losetup", "--json", "--list", "--output", columns, device.path()))
                .get("loopdevices")
                .get(0);
    }

    static String run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor())
                .as("%s: %s", String.join(" ", command), output)
                .isZero();
        return output;
    }

    /** Every device bound to that image. */
    List<LoopDevice> boundTo(Image image) throws IOException {
        FileStat file = Posix.stat(image.fd());
        return cleaner.list().stream()
                .filter(device -> device.backingInode() == file.inode()
                        && device.backingDevice().equals(file.device()))
                .toList();
    }

    @Override
    public void close() throws IOException {
        IOException failed = null;
        while (!undo.isEmpty()) {
            try {
                undo.pop().close();
            } catch (IOException | RuntimeException e) {
                failed = failed == null ? new IOException("not all is taken down") : failed;
                failed.addSuppressed(e);
            }
        }
        if (failed != null) {
            throw failed;
        }
    }

    /** Waits for a state of the kernel's, which mostly has come already. */
    static ConditionFactory soon() {
        return Awaitility.await().pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(2));
    }

    static void detach(Losetup losetup, LoopIdentity identity) throws LosetupException {
        var found = losetup.open(identity);
        if (found.isPresent()) {
            try (LoopHandle handle = found.get()) {
                handle.clear();
            }
        }
        soon().until(() -> !losetup.isBound(identity));
    }
}
