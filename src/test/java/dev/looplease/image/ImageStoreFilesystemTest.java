package dev.looplease.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What only a small filesystem of one's own can show. */
@KernelTest
class ImageStoreFilesystemTest {

    private static final String ID = "k3v9x0q2m7adp1c8";
    private static final long MIB = 1024 * 1024;
    private static final long EXT4_LARGEST_FILE = 16L << 40;

    @TempDir
    private Path temp;

    private final List<Path> mounts = new ArrayList<>();

    @AfterEach
    void unmount() throws Exception {
        for (Path mount : mounts.reversed()) {
            Shell.run("umount", mount.toString());
        }
    }

    @Test
    void leavesNothingOnATmpfsThatIsTooSmall() throws Exception {
        Path images = tmpfs("size=1m");
        try (ImageStore store = new ImageStore(images, List.of())) {
            refuses(ImageException.NoSpace.class, store, 2 * MIB, Allocation.FULL);
            assertThat(images).isEmptyDirectory();
            assertThat(store.space()).isEqualTo(new Space(MIB, MIB));
        }
    }

    @Test
    void leavesNothingOnATmpfsThatIsFull() throws Exception {
        Path images = tmpfs("size=1m");
        Files.write(images.resolve("filler"), new byte[(int) MIB]);
        try (ImageStore store = new ImageStore(images, List.of())) {
            refuses(ImageException.NoSpace.class, store, 4096, Allocation.FULL);
            assertThat(images.toFile().list()).containsExactly("filler");
        }
    }

    @Test
    void leavesNothingWhereThereAreNoInodesLeft() throws Exception {
        Path images = tmpfs("size=1m,nr_inodes=2");
        Files.createFile(images.resolve("filler"));
        try (ImageStore store = new ImageStore(images, List.of())) {
            refuses(ImageException.NoSpace.class, store, 4096, Allocation.SPARSE);
            assertThat(images.toFile().list()).containsExactly("filler");
        }
    }

    @Test
    void reservesOnATmpfsWithoutALimit() throws Exception {
        // It counts no blocks, as /proc does, and is neither full nor a window into the kernel.
        Path images = tmpfs("size=0");
        try (ImageStore store = new ImageStore(images, List.of());
                OpenImage image = store.create(ID, null, MIB, Allocation.FULL);
                OpenImage again = store.openExisting(image.file().path(), true)) {
            assertThat(store.look(again.file()).allocatedBytes()).isEqualTo(MIB);
        }
    }

    @Test
    void aReadOnlyFilesystemIsNotWritable() throws Exception {
        Path images = tmpfs("size=1m");
        try (ImageStore store = new ImageStore(images, List.of())) {
            assertThat(store.isWritable()).isTrue();

            Shell.run("mount", "-o", "remount,ro", images.toString());

            assertThat(store.isWritable()).isFalse();
            assertThatExceptionOfType(ImageException.Failed.class)
                    .isThrownBy(() -> store.create(ID, null, 4096, Allocation.SPARSE))
                    .satisfies(e -> assertThat(e.errnoName()).isEqualTo("EROFS"));
        }
    }

    @Test
    void leavesNothingOfAFileLargerThanExt4Allows() throws Exception {
        Path root = ext4();
        try (ImageStore store = new ImageStore(root.resolve("images"), List.of())) {
            refuses(ImageException.TooLarge.class, store, EXT4_LARGEST_FILE, Allocation.SPARSE);
            refuses(ImageException.TooLarge.class, store, Long.MAX_VALUE, Allocation.SPARSE);
            refuses(ImageException.NoSpace.class, store, Long.MAX_VALUE, Allocation.FULL);
            assertThat(root.resolve("images")).isEmptyDirectory();

            ImageFile image = create(store, ID, MIB, Allocation.SPARSE);
            assertThatExceptionOfType(ImageException.TooLarge.class)
                    .isThrownBy(() -> store.resize(image, EXT4_LARGEST_FILE, Allocation.SPARSE));
            assertThat(Files.size(image.path())).isEqualTo(MIB);
        }
    }

    @Test
    void reservationsThatRaceForTheLastSpaceGetItOrLeaveNothing() throws Exception {
        // All of them may find the space free before the first has taken it: then fallocate fails half-way.
        Path images = tmpfs("size=32m");
        try (ImageStore store = new ImageStore(images, List.of());
                ExecutorService pool = Executors.newFixedThreadPool(8)) {
            CyclicBarrier start = new CyclicBarrier(8);
            List<Future<Boolean>> attempts = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                String id = "racingimage0000" + i;
                attempts.add(pool.submit(gotSpace(start, () -> create(store, id, 12 * MIB, Allocation.FULL))));
            }
            assertThat(countTrue(attempts))
                    .isBetween(0, 2)
                    .isEqualTo(store.ownNamed().images().size());
            assertThat(store.space().freeBytes())
                    .isEqualTo((32 - 12 * store.ownNamed().images().size()) * MIB);
        }
    }

    /** Guards against ext4's growing a file extent by extent, and leaving it where the disk was full. */
    @Test
    @Timeout(60)
    void growthThatRacesForTheLastSpaceGetsItOrKeepsTheSize() throws Exception {
        Path root = ext4();
        try (ImageStore store = new ImageStore(root.resolve("images"), List.of());
                ExecutorService pool = Executors.newFixedThreadPool(2)) {
            ImageFile one = create(store, "racingimage00001", MIB, Allocation.SPARSE);
            ImageFile two = create(store, "racingimage00002", MIB, Allocation.SPARSE);
            long most = store.space().freeBytes() * 2 / 3;
            CyclicBarrier start = new CyclicBarrier(2);
            Growth ofOne;
            Growth ofTwo;
            do {
                Future<Growth> first = pool.submit(() -> grow(start, store, one, most));
                Future<Growth> second = pool.submit(() -> grow(start, store, two, most));
                ofOne = first.get();
                ofTwo = second.get();

                assertThat(Files.size(one.path())).isEqualTo(ofOne == Growth.DONE ? most : MIB);
                assertThat(Files.size(two.path())).isEqualTo(ofTwo == Growth.DONE ? most : MIB);
                store.resize(one, MIB, Allocation.SPARSE);
                store.resize(two, MIB, Allocation.SPARSE);
            } while (ofOne != Growth.FAILED && ofTwo != Growth.FAILED);
        }
    }

    private enum Growth {
        DONE,
        /** The space was seen to be taken, and nothing was tried. */
        REFUSED,
        /** The space was seen to be free, and was gone before the kernel had reserved it. */
        FAILED
    }

    private static Growth grow(CyclicBarrier start, ImageStore store, ImageFile image, long sizeBytes)
            throws Exception {
        start.await();
        try {
            store.resize(image, sizeBytes, Allocation.FULL);
            return Growth.DONE;
        } catch (ImageException.NoSpace e) {
            return e.getCause() == null ? Growth.REFUSED : Growth.FAILED;
        }
    }

    private static Callable<Boolean> gotSpace(CyclicBarrier start, Callable<ImageFile> attempt) {
        return () -> {
            start.await();
            try {
                attempt.call();
                return true;
            } catch (ImageException.NoSpace e) {
                return false;
            }
        };
    }

    private static int countTrue(List<Future<Boolean>> attempts) throws Exception {
        int count = 0;
        for (Future<Boolean> attempt : attempts) {
            if (attempt.get()) {
                count++;
            }
        }
        return count;
    }

    private static ImageFile create(ImageStore store, String id, long sizeBytes, Allocation allocation)
            throws IOException {
        try (OpenImage image = store.create(id, null, sizeBytes, allocation)) {
            return image.file();
        }
    }

    private static void refuses(
            Class<? extends ImageException> why, ImageStore store, long sizeBytes, Allocation allocation) {
        assertThatExceptionOfType(why).isThrownBy(() -> store.create(ID, null, sizeBytes, allocation));
    }

    private Path tmpfs(String options) throws Exception {
        Path mount = Files.createDirectory(temp.resolve("tmpfs"));
        Shell.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", mount.toString());
        mounts.add(mount);
        return mount;
    }

    /** A small ext4 in a file; mount(8) takes a loop device for it, which goes with the mount. */
    private Path ext4() throws Exception {
        Path file = temp.resolve("ext4.img");
        try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
            disk.setLength(32 * MIB);
        }
        Shell.run("mkfs.ext4", "-q", "-F", "-b", "4096", file.toString());
        Path mount = Files.createDirectory(temp.resolve("ext4"));
        Shell.run("mount", "-o", "loop", file.toString(), mount.toString());
        mounts.add(mount);
        return mount;
    }
}
