package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.image.Allocation;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whose a file is: from when, until when, and nobody else's meanwhile. */
@KernelTest
class ClaimTest {

    private static final int ROUNDS = 300;

    @TempDir
    private Path home;

    private Bench bench;

    @BeforeEach
    void start() throws IOException {
        bench = new Bench(home, Backend.IOCTL);
    }

    @AfterEach
    void stop() throws IOException {
        bench.close();
    }

    private LoopSnapshot reuse(Path file, boolean readOnly) {
        return bench.create(Bench.reuse(file, readOnly), Bench.terms(60));
    }

    private static void setLength(Path file, long bytes) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
            open.setLength(bytes);
        }
    }

    /** The fault guarded: the file stayed claimed by the device that had been refused, until a restart. */
    @Test
    void anEmptyFileThatWasRefusedIsFreeWhenItIsEmptyNoMore() throws IOException {
        Path file = Files.createFile(bench.home.resolve("disk"));
        assertThatThrownBy(() -> reuse(file, false))
                .isInstanceOf(LoopException.Invalid.class)
                .hasMessageContaining("empty");

        setLength(file, Bench.MIB);

        bench.deleted(reuse(file, false));
    }

    @Test
    void aFileThatWasRefusedForItsNameIsFreeUnderAnother() throws IOException {
        Path own = bench.images.resolve("abcdefghijklmnop.img");
        setLength(own, Bench.MIB);
        assertThatThrownBy(() -> reuse(own, false))
                .isInstanceOf(LoopException.Invalid.class)
                .hasMessageContaining("name");

        Path renamed = Files.move(own, bench.images.resolve("disk"));

        bench.deleted(reuse(renamed, false));
    }

    /** The fault guarded: an image had its name before it was claimed, and whoever waited for that name had it too. */
    @Test
    void nobodyMapsAnImageWhileItIsMade() throws Exception {
        Path image = bench.home.resolve("alices");
        assertNobodyElseMaps(image, () -> Files.exists(image) ? Optional.of(image) : Optional.empty());
    }

    @Test
    void norOneWhoseNameTheAgentGives() throws Exception {
        Path directory = Files.createDirectory(bench.home.resolve("alices"));
        assertNobodyElseMaps(directory, () -> {
            try (Stream<Path> files = Files.list(directory)) {
                return files.findFirst();
            } catch (IOException e) {
                return Optional.empty();
            }
        });
    }

    private interface Search {
        Optional<Path> image();
    }

    private void assertNobodyElseMaps(Path where, Search search) throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            AtomicBoolean over = new AtomicBoolean();
            CompletableFuture<@Nullable LoopSnapshot> other = CompletableFuture.supplyAsync(
                    () -> {
                        while (!over.get()) {
                            Optional<Path> found = search.image();
                            if (found.isPresent()) {
                                try {
                                    return reuse(found.get(), true);
                                } catch (LoopException refused) {
                                    // Once more, until it is over.
                                }
                            }
                        }
                        return null;
                    },
                    task -> Thread.ofPlatform().start(task));

            LoopSnapshot made = bench.create(Bench.spec(Bench.MIB, where, Allocation.SPARSE), Bench.terms(60));
            over.set(true);

            LoopSnapshot mapped = other.get();
            List<LoopSnapshot> both = bench.managed();
            if (mapped != null) {
                bench.deleted(mapped);
            }
            bench.deleted(made);
            assertThat(both).as("round %d", round).hasSize(1);
        }
    }
}
