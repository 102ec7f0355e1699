package dev.looplease.posix;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** openat2(2), and the walk by hand that takes its place where a seccomp filter hides it: both lead to the same. */
@Timeout(60)
class OpenBeneathTest {

    private static final int SWAPS = 1_000;

    @TempDir
    private Path temp;

    private Path root;

    @BeforeEach
    void makePlaces() throws IOException {
        root = Files.createDirectory(temp.resolve("root"));
        Path directory = Files.createDirectories(root.resolve("directory/inner"));
        Files.writeString(directory.resolve("file"), "inside");
        Path outside = Files.createDirectories(temp.resolve("outside/inner"));
        Files.writeString(outside.resolve("file"), "outside");
        Files.createSymbolicLink(root.resolve("link"), Path.of("directory"));
        Files.createSymbolicLink(root.resolve("away"), temp.resolve("outside"));
        Files.createSymbolicLink(root.resolve("nowhere"), Path.of("missing"));
        Files.createSymbolicLink(directory.resolve("alias"), Path.of("file"));
    }

    private interface Opening {
        Fd open(Fd directory) throws IOException;
    }

    /** The inode behind the descriptor, or the errno. */
    private String outcome(Opening opening) throws IOException {
        try (Fd directory = Posix.open(root, Posix.O_PATH | Posix.O_DIRECTORY);
                Fd opened = opening.open(directory)) {
            return "inode " + Posix.stat(opened).inode();
        } catch (PosixException e) {
            return "errno " + e.errno();
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                ".",
                "directory",
                "directory/inner",
                "directory/inner/file",
                "directory/inner/alias",
                "directory/inner/missing",
                "directory/inner/file/below",
                "missing/file",
                "link",
                "link/inner/file",
                "away",
                "away/inner/file",
                "nowhere",
                "nowhere/file",
                "..",
                "../outside/inner/file",
                "/etc/passwd",
            })
    void bothLeadToTheSame(String relative) throws IOException {
        for (int flags : new int[] {
            Posix.O_PATH,
            Posix.O_PATH | Posix.O_DIRECTORY,
            Posix.O_RDONLY,
            Posix.O_RDONLY | Posix.O_NOFOLLOW | Posix.O_NONBLOCK
        }) {
            String byKernel = outcome(directory -> Posix.openBeneath(directory, relative, flags, 0));
            String byHand = outcome(directory -> Posix.walkBeneath(directory, relative, flags, 0));

            assertThat(byHand).as("%s, flags %x", relative, flags).isEqualTo(byKernel);
        }
    }

    @Test
    void bothMakeFilesAndOverwriteNone() throws IOException {
        int flags = Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW | Posix.O_RDWR;
        try (Fd directory = Posix.open(root, Posix.O_PATH | Posix.O_DIRECTORY)) {
            Posix.walkBeneath(directory, "directory/made", flags, 0600).close();
        }
        assertThat(root.resolve("directory/made")).isEmptyFile();
        for (String there : new String[] {"directory/made", "nowhere", "link"}) {
            assertThat(outcome(directory -> Posix.walkBeneath(directory, there, flags, 0600)))
                    .isEqualTo(outcome(directory -> Posix.openBeneath(directory, there, flags, 0600)))
                    .isEqualTo("errno " + Errno.EEXIST);
        }
    }

    @Test
    void neverLeavesWhileSomebodySwapsADirectoryForALink() throws Exception {
        long outside = Posix.stat(temp.resolve("outside/inner/file")).inode();
        int done = 0;
        int refused = 0;
        try (ExecutorService other = Executors.newSingleThreadExecutor()) {
            while (done == 0 || refused == 0) {
                Future<?> swapping = other.submit(this::swap);
                while (!swapping.isDone()) {
                    String outcome = outcome(
                            directory -> Posix.walkBeneath(directory, "directory/inner/file", Posix.O_RDONLY, 0));
                    assertThat(outcome).isNotEqualTo("inode " + outside);
                    if (outcome.startsWith("inode")) {
                        done++;
                    } else {
                        refused++;
                    }
                }
                swapping.get();
            }
        }
    }

    private Void swap() throws IOException {
        Path directory = root.resolve("directory");
        Path aside = root.resolve("aside");
        for (int i = 0; i < SWAPS; i++) {
            Files.move(directory, aside);
            Files.createSymbolicLink(directory, temp.resolve("outside"));
            Files.delete(directory);
            Files.move(aside, directory);
        }
        return null;
    }
}
