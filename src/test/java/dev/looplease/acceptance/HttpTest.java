package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.awaitility.core.ConditionFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.SpringBootTest.WebEnvironment;
import org.springframework.core.env.Environment;
import org.springframework.test.context.ContextConfiguration;
import org.springframework.test.context.TestPropertySource;

/**
 * A whole agent on a port of its own. Every test gives everything back, and fails if anything is left: devices, images,
 * leases.
 */
@SpringBootTest(classes = LoopleaseApplication.class, webEnvironment = WebEnvironment.RANDOM_PORT)
@ContextConfiguration(initializers = TemporaryState.class)
@TestPropertySource(properties = {"looplease.backend=ioctl", "looplease.lease.grace=1s"})
abstract class HttpTest {

    static final int MIB = 1024 * 1024;

    /** Waits as long as a busy machine may take, and no longer than needed. */
    static ConditionFactory soon() {
        return await().atMost(Duration.ofSeconds(20)).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(20));
    }

    @Autowired
    private Environment environment;

    Agent agent;
    /** Around everything that this agent and its test may touch. */
    Path home;
    /** Where the agent makes images. */
    Path images;
    /** The image root with the files of an imagined user. */
    Path userFiles;

    private final Deque<Undo> undos = new ArrayDeque<>();

    interface Undo {
        void run() throws IOException;
    }

    @BeforeEach
    void connect() throws IOException {
        agent = new Agent(
                environment.getRequiredProperty("local.server.port", Integer.class),
                token(Path.of(environment.getRequiredProperty("looplease.state-dir"))));
        // An agent that has just started may still be comparing its records with the kernel.
        soon().until(() -> agent.get("/readyz").status() == 200);
        home = Path.of(environment.getRequiredProperty(TemporaryState.HOME));
        images = Path.of(environment.getRequiredProperty("looplease.state-dir"), "images");
        userFiles = Path.of(environment.getRequiredProperty(TemporaryState.USER_FILES));
    }

    /** An operator's: the one that an agent makes for itself. */
    String token(Path stateDirectory) throws IOException {
        return Files.readString(stateDirectory.resolve("token")).strip();
    }

    @AfterEach
    void giveEverythingBack() throws IOException {
        try {
            undo();
        } finally {
            soon().until(() -> {
                agent.managed().forEach(device -> agent.delete(device.path("id").asString()));
                return agent.managed().isEmpty();
            });
            SortedSet<Path> left = imageFiles();
            removeUserFiles();
            // One on which the agent tries what the host can do goes when the last passer-by has closed it.
            soon().untilAsserted(() -> assertThat(Kernel.bindingsBelow(home))
                    .as("devices left in the kernel")
                    .isEmpty());
            assertThat(left).as("images left").isEmpty();
            assertThat(agent.items("/leases")).as("leases left").isEmpty();
        }
    }

    /** The directory itself stays: the agent holds it open. */
    private void removeUserFiles() throws IOException {
        for (Path file : filesBelow(userFiles).reversed()) {
            Files.delete(file);
        }
    }

    private void undo() throws IOException {
        IOException failure = new IOException("Cleaning up after the test failed.");
        while (!undos.isEmpty()) {
            try {
                undos.pop().run();
            } catch (IOException | RuntimeException e) {
                failure.addSuppressed(e);
            }
        }
        if (failure.getSuppressed().length > 0) {
            throw failure;
        }
    }

    /** Does something when the test is over, the last first. */
    void afterwards(Undo undo) {
        undos.push(undo);
    }

    static SortedSet<Path> filesBelow(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            return new TreeSet<>(files.filter(file -> !file.equals(directory)).toList());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What lies in the images directory. */
    SortedSet<Path> imageFiles() {
        return filesBelow(images);
    }

    private SortedSet<Path> userAndImageFiles() {
        SortedSet<Path> files = imageFiles();
        files.addAll(filesBelow(userFiles));
        return files;
    }

    /** A file of the user's, sparse. */
    Path userFile(String name, long sizeBytes) {
        Path file = userFiles.resolve(name);
        try (RandomAccessFile opened = new RandomAccessFile(file.toFile(), "rw")) {
            opened.setLength(sizeBytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return file;
    }

    /** A device of this size, which the agent made. */
    Answer created(Object... fields) {
        return agent.create(fields).expect(201);
    }

    /** Attaches a file to a loop device behind the agent's back. Others take devices too: a lost race is tried again. */
    String foreign(Path file, String... options) {
        Stream<String> command = Stream.of(
                        Stream.of("losetup", "--find", "--show"), Stream.of(options), Stream.of(file.toString()))
                .flatMap(words -> words);
        String[] words = command.toArray(String[]::new);
        String name = soon().ignoreExceptions()
                .until(() -> Kernel.output(words), node -> node.startsWith("/dev/"))
                .substring("/dev/".length());
        afterwards(() -> detachForeign(name, file));
        return name;
    }

    /** Detaches what {@link #foreign} attached, if it is still there. */
    static void detachForeign(String name, Path file) throws IOException {
        Path backing = Path.of("/sys/block", name, "loop/backing_file");
        if (Files.exists(backing)
                && Files.readString(backing).strip().replace(" (deleted)", "").equals(file.toString())) {
            Kernel.output("losetup", "--detach", "/dev/" + name);
        }
    }

    /** Makes an ext4 on a device and mounts it. */
    Path mounted(Answer device) throws IOException {
        Kernel.output("mkfs.ext4", "-q", "-F", device.node());
        return mountedAs(device, "mnt-" + device.name());
    }

    Path mountedAs(Answer device, String name) throws IOException {
        Path directory = Files.createDirectory(userFiles.resolve(name));
        Kernel.output("mount", device.node(), directory.toString());
        afterwards(() -> unmount(directory));
        return directory;
    }

    static void unmount(Path directory) {
        if (Kernel.isMounted(directory)) {
            Kernel.output("umount", directory.toString());
        }
    }

    /** Everything that a refused request must leave as it was. */
    record Belongings(List<String> devices, List<String> leases, SortedSet<Path> files, List<String> attached) {}

    Belongings belongings() {
        return new Belongings(
                agent.managed().stream()
                        .map(device -> device.path("id").asString())
                        .toList(),
                agent.items("/leases").stream()
                        .map(lease -> lease.path("id").asString())
                        .toList(),
                userAndImageFiles(),
                Kernel.bindingsBelow(home));
    }

    /** Waits until a device is no more, and returns the answer that says so. */
    Answer gone(String id) {
        return soon().until(() -> agent.device(id), answer -> answer.status() == 410);
    }
}
