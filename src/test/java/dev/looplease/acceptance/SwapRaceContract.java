package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntFunction;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * A local user, or a client of another kind, who swaps a part of an image's path while the agent is asked for it. What is
 * outside the allowed roots is neither attached, nor made, nor changed.
 */
abstract class SwapRaceContract extends HttpTest {

    private static final int SWAPS = 1_000;
    private static final int ATTEMPTS = 50;
    private static final Duration LONGEST = Duration.ofSeconds(10);

    private Path directory;
    private Path outside;
    private Path secret;

    @BeforeEach
    void makeDirectories() throws IOException {
        directory = Files.createDirectory(userFiles.resolve("directory"));
        outside = Files.createTempDirectory(home, "outside");
        secret = outside.resolve("image");
        try (RandomAccessFile file = new RandomAccessFile(secret.toFile(), "rw")) {
            file.setLength(MIB);
        }
        Files.setLastModifiedTime(secret, FileTime.fromMillis(0));
        afterwards(() -> {
            Files.delete(secret);
            Files.delete(outside);
        });
    }

    /** The directory and a symbolic link that leads out of the root take turns at one name. */
    @Test
    void createsNothingBehindALink() throws Exception {
        whileSwapping(this::directoryAndLink, i -> agent.create("sizeMb", 1, "imagePath", directory + "/new-" + i));

        assertUntouched();
    }

    @Test
    void reusesNothingBehindALink() throws Exception {
        Path image = userFile("directory/image", MIB);
        Object own = inode(image);

        whileSwapping(
                this::directoryAndLink,
                i -> attachedItself(own, agent.create("imagePath", image.toString(), "reuseFile", true)));

        assertUntouched();
        assertThat(image).exists();
    }

    /**
     * A file of the user's and a second name of one outside take turns. The fault: the other file was found by its second
     * name, and had one name, outside, when these were counted.
     */
    @Test
    void reusesNoFileOfAnothersBySecondName() throws Exception {
        Path image = userFile("directory/image", MIB);
        Path aside = directory.resolve("aside");
        Path link = directory.resolve("link");
        Object own = inode(image);

        whileSwapping(
                () -> {
                    Files.createLink(link, secret);
                    Files.move(image, aside);
                    Files.move(link, image);
                    Files.move(aside, image, StandardCopyOption.REPLACE_EXISTING);
                },
                i -> attachedItself(own, agent.create("imagePath", image.toString(), "reuseFile", true)));

        assertUntouched();
        assertThat(inode(image)).isEqualTo(own);
    }

    private void directoryAndLink() throws IOException {
        Path aside = userFiles.resolve("aside");
        Files.move(directory, aside);
        Files.createSymbolicLink(directory, outside);
        Files.delete(directory);
        Files.move(aside, directory);
    }

    private static Object inode(Path file) {
        try {
            return Files.getAttribute(file, "unix:ino");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What the kernel, not the agent, says is behind the device. */
    private static Answer attachedItself(Object inode, Answer answer) {
        if (answer.status() == 201) {
            assertThat(Kernel.output("losetup", "--noheadings", "--output", "BACK-INO", answer.node()))
                    .isEqualTo(String.valueOf(inode));
        }
        return answer;
    }

    private void assertUntouched() throws IOException {
        assertThat(filesBelow(outside)).containsExactly(secret);
        assertThat(Files.getAttribute(secret, "unix:nlink")).isEqualTo(1);
        assertThat(Files.getLastModifiedTime(secret).toMillis()).isZero();
        assertThat(Kernel.bindingsBelow(outside)).isEmpty();
    }

    /** Because of where the path leads, or because it leads elsewhere all the time. */
    private static void refused(Answer answer) {
        if (answer.status() == 409) {
            answer.refused(409, "wrong-state");
        } else {
            answer.refusedField("imagePath");
        }
    }

    private interface Swap {
        void once() throws IOException;
    }

    /** Asks until there were enough swaps and attempts, and an attempt of either outcome. */
    private void whileSwapping(Swap swap, IntFunction<Answer> attempt) throws Exception {
        AtomicBoolean over = new AtomicBoolean();
        AtomicInteger swaps = new AtomicInteger();
        int made = 0;
        int refused = 0;
        try (ExecutorService other = Executors.newSingleThreadExecutor()) {
            Future<?> swapping = other.submit(() -> {
                while (!over.get()) {
                    swap.once();
                    swaps.incrementAndGet();
                    // A file that never stands still is always refused.
                    LockSupport.parkNanos(100_000);
                }
                return null;
            });
            try {
                long deadline = System.nanoTime() + LONGEST.toNanos();
                while (System.nanoTime() < deadline
                        && (made == 0 || refused == 0 || made + refused < ATTEMPTS || swaps.get() < SWAPS)) {
                    Answer answer = attempt.apply(made + refused);
                    if (answer.status() == 201) {
                        made++;
                        agent.delete(answer.id()).expect(204);
                    } else {
                        refused++;
                        refused(answer);
                    }
                }
            } finally {
                over.set(true);
            }
            swapping.get();
        } catch (ExecutionException e) {
            throw new AssertionError("the swapper failed", e);
        }
        assertThat(made).as("made").isPositive();
        assertThat(refused).as("refused").isPositive();
        assertThat(swaps.get()).as("swaps").isGreaterThanOrEqualTo(SWAPS);
    }
}
