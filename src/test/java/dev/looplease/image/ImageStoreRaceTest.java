package dev.looplease.image;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Somebody swaps a directory of the path for a symbolic link that leaves the root, while the store walks it. */
@Timeout(60)
class ImageStoreRaceTest {

    private static final int SWAPS = 1_000;

    @TempDir
    private Path temp;

    private Path root;
    private Path outside;
    private Path directory;

    @BeforeEach
    void makeDirectories() throws IOException {
        root = Files.createDirectory(temp.toRealPath().resolve("root"));
        directory = Files.createDirectory(root.resolve("directory"));
        outside = Files.createDirectory(temp.toRealPath().resolve("outside"));
    }

    @Test
    void createsNothingOutsideTheRoot() throws Exception {
        Path image = directory.resolve("image");

        Tally tally = whileSwapping(store -> {
            try (OpenImage made = store.create("k3v9x0q2m7adp1c8", image, 4096, Allocation.SPARSE)) {
                assertThat(outside).isEmptyDirectory();
                // A swap right after creation hides the image; it is deleted when it is back.
                while (store.delete(made.file()) != Deletion.DELETED) {
                    Thread.onSpinWait();
                }
            }
        });

        assertThat(outside).isEmptyDirectory();
        assertThat(directory).isEmptyDirectory();
        assertThat(tally.done()).isPositive();
        assertThat(tally.refused()).isPositive();
    }

    @Test
    void opensNothingOutsideTheRoot() throws Exception {
        Path image = Files.writeString(directory.resolve("image"), "image");
        Object inside = Files.getAttribute(image, "unix:ino");
        Files.writeString(outside.resolve("image"), "secret");

        Tally tally = whileSwapping(store -> {
            try (OpenImage opened = store.openExisting(image, false)) {
                assertThat(opened.file().inode()).isEqualTo(inside);
            }
        });

        assertThat(tally.done()).isPositive();
        assertThat(tally.refused()).isPositive();
    }

    private interface Attempt {
        void on(ImageStore store) throws IOException;
    }

    private record Tally(int done, int refused) {}

    /** Attempts until the swaps are through and there was at least one attempt of either outcome. */
    private Tally whileSwapping(Attempt attempt) throws Exception {
        try (ImageStore store = new ImageStore(temp.resolve("images"), List.of(root));
                ExecutorService other = Executors.newSingleThreadExecutor()) {
            int done = 0;
            int refused = 0;
            while (done == 0 || refused == 0) {
                Future<?> swapping = other.submit(swapper());
                while (!swapping.isDone()) {
                    try {
                        attempt.on(store);
                        done++;
                    } catch (ImageException.Symlink | ImageException.NotFound e) {
                        refused++;
                    }
                }
                rethrow(swapping);
            }
            return new Tally(done, refused);
        }
    }

    private Callable<Void> swapper() {
        return () -> {
            Path aside = root.resolve("aside");
            for (int i = 0; i < SWAPS; i++) {
                Files.move(directory, aside);
                Files.createSymbolicLink(directory, outside);
                Files.delete(directory);
                Files.move(aside, directory);
            }
            return null;
        };
    }

    private static void rethrow(Future<?> future) throws Exception {
        try {
            future.get();
        } catch (ExecutionException e) {
            throw new AssertionError("the swapper failed", e);
        }
    }
}
