package dev.looplease.image;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageStoreTest {

    private static final String ID = "k3v9x0q2m7adp1c8";
    private static final long MIB = 1024 * 1024;

    @TempDir
    private Path temp;

    private Path images;
    private Path root;
    private Path outside;
    private ImageStore store;

    @BeforeEach
    void open() throws IOException {
        temp = temp.toRealPath();
        images = temp.resolve("state/images");
        root = Files.createDirectory(temp.resolve("root"));
        outside = Files.createDirectory(temp.resolve("outside"));
        store = new ImageStore(images, List.of(root));
    }

    @AfterEach
    void close() throws IOException {
        store.close();
    }

    // Directories

    @Test
    void makesTheImagesDirectoryAndItsParentsForItsOwnerOnly() throws IOException {
        assertThat(mode(images)).isEqualTo("rwx------");
        assertThat(mode(temp.resolve("state"))).isEqualTo("rwx------");
    }

    /**
     * Guards against a client's file that is taken for an orphan and deleted: what is named as the store's own files in
     * the images directory belongs to nobody when no record knows it.
     */
    @Test
    void givesNoClientANameOfItsOwn() throws IOException {
        Path reserved = images.resolve("aaaaaaaaaaaaaaaa.img");

        assertThatExceptionOfType(ImageException.InvalidPath.class)
                .isThrownBy(() -> store.create(ID, reserved, MIB, Allocation.SPARSE))
                .withMessageContaining("gives its own images");
        assertThat(reserved).doesNotExist();
        assertThat(store.isOwnNamed(reserved)).isTrue();
        assertThat(store.isOwnNamed(root.resolve(reserved.getFileName()))).isFalse();
    }

    /** A file whose name says nothing is known to somebody before anybody can see it, or is not there at all. */
    @Test
    void tellsOfAFileWithAClientsNameBeforeItHasThatName() throws IOException {
        Path chosen = root.resolve("disk.raw");
        List<ImageFile> told = new ArrayList<>();
        ImageStore.Witness looking = file -> {
            assertThat(chosen).doesNotExist();
            told.add(file);
        };

        try (OpenImage image = store.create(ID, chosen, MIB, Allocation.SPARSE, looking)) {
            assertThat(told).containsExactly(image.file());
            assertThat(store.presence(image.file())).isEqualTo(Presence.PRESENT);
        }
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> store.create(ID, root.resolve("other.raw"), MIB, Allocation.SPARSE, file -> {
                    throw new IllegalStateException("the journal is full");
                }));
        assertThat(root.resolve("other.raw")).doesNotExist();
    }

    @Test
    void refusesToStartWithARootThatIsMissing() {
        assertThatExceptionOfType(IOException.class)
                .isThrownBy(() -> new ImageStore(images, List.of(temp.resolve("nowhere"))))
                .withMessageContaining("nowhere");
    }

    @Test
    void tellsTheSpaceOfTheImagesDirectory() throws IOException {
        long total = Files.getFileStore(images).getTotalSpace();

        assertThat(store.space().totalBytes()).isEqualTo(total);
        assertThat(store.space().freeBytes()).isBetween(1L, total);
    }

    @Test
    void isWritableUntilTheImagesDirectoryIsRemoved() throws IOException {
        assertThat(store.isWritable()).isTrue();

        Files.delete(images);

        assertThat(store.isWritable()).isFalse();
        assertRefused(ImageException.NotFound.class, () -> create(null));
    }

    // Creating

    @Test
    void createsASparseFileInTheImagesDirectory() throws IOException {
        ImageFile image = create(null, 64 * MIB, Allocation.SPARSE);

        assertThat(image.path()).isEqualTo(images.resolve(ID + ".img"));
        assertThat(image.sizeBytes()).isEqualTo(64 * MIB);
        assertThat(Files.size(image.path())).isEqualTo(64 * MIB);
        assertThat(store.look(image).allocatedBytes()).isZero();
    }

    @Test
    void createsAFileWithAllItsSpaceReserved() throws IOException {
        ImageFile image = create(null, 8 * MIB, Allocation.FULL);

        assertThat(image.sizeBytes()).isEqualTo(8 * MIB);
        assertThat(store.look(image).allocatedBytes()).isGreaterThanOrEqualTo(8 * MIB);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 0022, 0077, 0777})
    void createsFilesForTheirOwnerOnlyUnderAnyUmask(int umask) throws Throwable {
        var setUmask = Linker.nativeLinker()
                .downcallHandle(
                        Linker.nativeLinker().defaultLookup().findOrThrow("umask"),
                        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
        ImageFile image;
        int before = (int) setUmask.invokeExact(umask);
        try {
            image = create(null);
        } finally {
            int ignored = (int) setUmask.invokeExact(before);
        }
        assertThat(mode(image.path())).isEqualTo("rw-------");
    }

    @Test
    void createsIntoADirectoryOrAtAFilesPathInsideARoot() throws IOException {
        Path directory = Files.createDirectories(root.resolve("a/b"));

        assertThat(create(root).path()).isEqualTo(root.resolve(ID + ".img"));
        assertThat(create(directory).path()).isEqualTo(directory.resolve(ID + ".img"));
        assertThat(create(directory.resolve("disk")).path())
                .isEqualTo(directory.resolve("disk"))
                .isRegularFile();
    }

    @Test
    void theDescriptorOfANewImageIsThatFileAndWritable() throws IOException {
        try (OpenImage image = store.create(ID, null, MIB, Allocation.SPARSE);
                FileChannel channel = FileChannel.open(Path.of(image.fd().procPath()), StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap("hello".getBytes(UTF_8)));

            assertThat(Files.readAllBytes(images.resolve(ID + ".img"))).startsWith("hello".getBytes(UTF_8));
        }
    }

    @Test
    void leavesAnExistingFileUntouched() throws IOException {
        Path precious = Files.writeString(root.resolve("precious"), "precious");
        Path ownName = Files.writeString(images.resolve(ID + ".img"), "mine");
        Path inDirectory = Files.writeString(root.resolve(ID + ".img"), "yours");

        assertRefused(ImageException.Exists.class, () -> create(precious));
        assertRefused(ImageException.Exists.class, () -> create(null));
        assertRefused(ImageException.Exists.class, () -> create(root));

        assertThat(precious).hasContent("precious");
        assertThat(ownName).hasContent("mine");
        assertThat(inDirectory).hasContent("yours");
    }

    @Test
    void createsNothingOverASymbolicLinkAtTheEnd() throws IOException {
        Path target = Files.writeString(outside.resolve("target"), "target");
        Path link = Files.createSymbolicLink(root.resolve("link"), target);
        Path dangling = Files.createSymbolicLink(root.resolve("dangling"), outside.resolve("missing"));
        Path directory = Files.createSymbolicLink(root.resolve("directory"), outside);
        Files.createSymbolicLink(images.resolve(ID + ".img"), outside.resolve("missing"));

        assertRefused(ImageException.Symlink.class, () -> create(link));
        assertRefused(ImageException.Symlink.class, () -> create(dangling));
        assertRefused(ImageException.Symlink.class, () -> create(directory));
        assertRefused(ImageException.Exists.class, () -> create(null));

        assertThat(outside.toFile().list()).containsExactly("target");
        assertThat(target).hasContent("target");
    }

    @Test
    void followsNoSymbolicLinkOnTheWayNotEvenOneThatStaysInside() throws IOException {
        Files.createDirectory(root.resolve("real"));
        Files.writeString(outside.resolve("secret"), "secret");
        Files.createSymbolicLink(root.resolve("out"), outside);
        Files.createSymbolicLink(root.resolve("in"), Path.of("real"));

        assertRefused(ImageException.Symlink.class, () -> create(root.resolve("out/new")));
        assertRefused(ImageException.Symlink.class, () -> create(root.resolve("in/new")));
        assertRefused(ImageException.Symlink.class, () -> store.openExisting(root.resolve("out/secret"), true));

        assertThat(outside.toFile().list()).containsExactly("secret");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "relative.img",
                "ROOT/../outside/x",
                "ROOT/..",
                "ROOT/./x",
                "ROOT/new\nline",
                "ROOT/\u007f",
                "ROOT/\u009b"
            })
    void refusesAPathThatCanNameNoImage(String text) {
        Path path = Path.of(text.replace("ROOT", root.toString()));

        assertRefused(ImageException.InvalidPath.class, () -> create(path));
        assertRefused(ImageException.InvalidPath.class, () -> store.openExisting(path, true));
    }

    @Test
    void refusesAPathThatIsTooLongCountedInBytes() {
        assertRefused(ImageException.InvalidPath.class, () -> create(root.resolve("ü".repeat(128))));
        assertRefused(ImageException.InvalidPath.class, () -> create(Path.of(root + "/" + "d/".repeat(2048) + "x")));
    }

    @Test
    void acceptsTheLongestName() throws IOException {
        assertThat(create(root.resolve("x".repeat(255))).path()).isRegularFile();
    }

    @Test
    void refusesPathsOutsideTheRoots() throws IOException {
        // A comparison by strings takes /root-ab for a part of /root-a.
        Path neighbour = Files.createDirectory(temp.resolve("rooted"));

        for (Path path : List.of(
                outside,
                outside.resolve("x"),
                neighbour,
                neighbour.resolve("x"),
                temp,
                Path.of("/"),
                temp.resolve("state"))) {
            assertRefused(ImageException.OutsideRoots.class, () -> create(path));
            assertRefused(ImageException.OutsideRoots.class, () -> store.openExisting(path, true));
        }
        assertThat(neighbour).isEmptyDirectory();
        assertThat(outside).isEmptyDirectory();
    }

    @Test
    void refusesAFileWhoseDirectoryIsMissingOrNoDirectory() throws IOException {
        Path file = Files.writeString(root.resolve("file"), "");

        assertRefused(ImageException.NotFound.class, () -> create(root.resolve("missing/x")));
        assertRefused(ImageException.NotFound.class, () -> create(file.resolve("x")));
    }

    @Test
    void refusesAnIdThatCouldBeAPathAndASizeOfNothing() {
        for (String id : List.of("../../../../etc/", "a".repeat(15), "UPPERCASEUPPERCA", "", "a".repeat(17))) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> store.create(id, null, MIB, Allocation.SPARSE))
                    .withMessageStartingWith("id ");
        }
        for (long size : new long[] {0, -1, Long.MIN_VALUE}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> store.create(ID, null, size, Allocation.SPARSE))
                    .withMessageStartingWith("sizeBytes ");
        }
    }

    @Test
    void leavesNothingWhenTheDiskIsTooSmall() throws IOException {
        long tooMuch = store.space().freeBytes() + 1024 * MIB;

        assertRefused(ImageException.NoSpace.class, () -> create(null, tooMuch, Allocation.FULL));

        assertThat(images).isEmptyDirectory();
    }

    @Test
    void aRefusalTellsNoMoreThanThePathThatTheClientGave() throws IOException {
        Path spelled = Files.createSymbolicLink(temp.resolve("spelled"), root);
        try (ImageStore other = new ImageStore(images, List.of(spelled))) {
            assertThatExceptionOfType(ImageException.class)
                    .isThrownBy(() -> other.openExisting(spelled.resolve("x"), true))
                    .withMessage(spelled + "/x, or a directory on the way to it, does not exist.");
        }
        Files.writeString(images.resolve(ID + ".img"), "");
        assertThatExceptionOfType(ImageException.class)
                .isThrownBy(() -> create(null))
                .withMessage(ID + ".img exists already.");
    }

    // Roots over symbolic links, and nested ones

    @Test
    void acceptsARootAsItWasSpelledAndAsItIs() throws IOException {
        Path spelled = Files.createSymbolicLink(temp.resolve("spelled"), root);
        try (ImageStore other = new ImageStore(images, List.of(spelled));
                OpenImage first = other.create(ID, spelled.resolve("one"), MIB, Allocation.SPARSE);
                OpenImage second = other.create(ID, root.resolve("two"), MIB, Allocation.SPARSE)) {
            assertThat(first.file().path()).isEqualTo(root.resolve("one")).isRegularFile();
            assertThat(second.file().path()).isEqualTo(root.resolve("two")).isRegularFile();
            assertThat(other.presence(first.file())).isEqualTo(Presence.PRESENT);
        }
    }

    /** The fault guarded: a root around the agent's own files lent out its tokens and its journal. */
    @Test
    void leadsToNoneOfTheAgentsOwnFiles() throws IOException {
        Path around = Files.createDirectory(temp.toRealPath().resolve("around"));
        Path own = Files.createDirectory(around.resolve("state"));
        Path token = Files.writeString(own.resolve("token"), "secret");
        try (ImageStore closed = new ImageStore(own.resolve("images"), List.of(around), List.of(own, token))) {
            assertThatExceptionOfType(ImageException.OutsideRoots.class)
                    .isThrownBy(() -> closed.openExisting(token, true));
            assertThatExceptionOfType(ImageException.OutsideRoots.class)
                    .isThrownBy(() -> closed.create(ID, own, 4096, Allocation.SPARSE));
            assertThatExceptionOfType(ImageException.OutsideRoots.class)
                    .isThrownBy(() -> closed.create(ID, own.resolve("new"), 4096, Allocation.SPARSE));
            closed.create(ID, own.resolve("images/new"), 4096, Allocation.SPARSE)
                    .close();
            closed.create(ID, around.resolve("new"), 4096, Allocation.SPARSE).close();
        }
        Path named = Files.createDirectory(own.resolve("named"));
        Path tokens = Files.writeString(named.resolve("tokens.yaml"), "tokens: []");
        try (ImageStore closed = new ImageStore(own.resolve("images"), List.of(own, named), List.of(own, tokens))) {
            closed.create(ID, named.resolve("new"), 4096, Allocation.SPARSE).close();
            for (Path secret : List.of(token, tokens)) {
                assertThatExceptionOfType(ImageException.OutsideRoots.class)
                        .isThrownBy(() -> closed.openExisting(secret, true));
            }
        }
    }

    /** The fault: whatever is in the images directory is lent out, and that were the agent's own files. */
    @Test
    void refusesAnImagesDirectoryAroundTheAgentsOwnFiles() throws IOException {
        Path outer = temp.toRealPath().resolve("around");
        Path own = Files.createDirectories(outer.resolve("state"));
        Path spelled = Files.createSymbolicLink(temp.resolve("spelled"), own);

        for (Path around : List.of(own, outer, spelled)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> new ImageStore(around, List.of(), List.of(own)))
                    .withMessageContaining(own.toString());
        }
    }

    @Test
    void walksFromTheInnermostRoot() throws IOException {
        // The link between the two roots would be refused in a walk from the outer one.
        Path inner = Files.createSymbolicLink(root.resolve("inner"), outside);
        try (ImageStore other = new ImageStore(images, List.of(root, inner));
                OpenImage image = other.create(ID, inner, MIB, Allocation.SPARSE)) {
            assertThat(image.file().path()).isEqualTo(outside.resolve(ID + ".img"));
        }
    }

    @Test
    void theWholeFilesystemMayBeARoot() throws IOException {
        try (ImageStore other = new ImageStore(images, List.of(Path.of("/")));
                OpenImage image = other.create(ID, outside, MIB, Allocation.SPARSE)) {
            assertThat(image.file().path())
                    .isEqualTo(outside.resolve(ID + ".img"))
                    .isRegularFile();
        }
    }

    // Opening

    @Test
    void opensAnExistingFileAsItIs() throws IOException {
        Path file = Files.writeString(root.resolve("file"), "contents");

        try (OpenImage readOnly = store.openExisting(file, true);
                OpenImage writable = store.openExisting(file, false)) {
            assertThat(readOnly.file()).isEqualTo(writable.file());
            assertThat(readOnly.file().path()).isEqualTo(file);
            assertThat(readOnly.file().sizeBytes()).isEqualTo(8);
            assertThat(readOnly.file().inode()).isEqualTo(Files.getAttribute(file, "unix:ino"));
            assertThat(openFlags(readOnly) & 3).isZero();
            assertThat(openFlags(writable) & 3).isEqualTo(2);
        }
        assertThat(file).hasContent("contents");
    }

    @Test
    @Timeout(10) // opening a FIFO for reading waits for a writer
    void opensNothingButRegularFiles() throws Exception {
        Shell.run("mkfifo", root.resolve("fifo").toString());
        Files.createDirectory(root.resolve("directory"));

        for (String name : List.of("fifo", "directory", "")) {
            assertRefused(ImageException.NotAFile.class, () -> store.openExisting(root.resolve(name), true));
            assertRefused(ImageException.NotAFile.class, () -> store.openExisting(root.resolve(name), false));
        }
        try (ImageStore devices = new ImageStore(images, List.of(Path.of("/dev")))) {
            assertRefused(ImageException.NotAFile.class, () -> devices.openExisting(Path.of("/dev/null"), true));
        }
        assertRefused(ImageException.NotFound.class, () -> store.openExisting(root.resolve("missing"), true));
    }

    @Test
    void opensNoWindowIntoTheKernel() throws IOException {
        // They have the type of a regular file, and opening /proc/kmsg or a tracing file is felt by others.
        try (ImageStore other = new ImageStore(images, List.of(Path.of("/proc"), Path.of("/sys")))) {
            for (String path : List.of("/proc/version", "/proc/sys/kernel/hostname", "/sys/kernel/uevent_seqnum")) {
                assertThat(Path.of(path)).isRegularFile();
                assertRefused(ImageException.NotAFile.class, () -> other.openExisting(Path.of(path), true));
            }
            assertRefused(ImageException.Symlink.class, () -> other.openExisting(Path.of("/proc/self/fd/0"), true));
            assertRefused(ImageException.Symlink.class, () -> other.openExisting(Path.of("/proc/self/exe"), true));
        }
    }

    @Test
    void refusesAFileWithASecondName() throws IOException {
        Path file = Files.writeString(outside.resolve("shadow"), "secret");
        Files.createLink(root.resolve("link"), file);

        assertRefused(ImageException.HardLinked.class, () -> store.openExisting(root.resolve("link"), true));
    }

    @Test
    void reopensAnImageWithItsPresentSize() throws IOException {
        ImageFile image = create(null);
        try (FileChannel channel = FileChannel.open(image.path(), StandardOpenOption.WRITE)) {
            channel.truncate(512);
        }

        try (OpenImage again = store.reopen(image, false)) {
            assertThat(again.file().inode()).isEqualTo(image.inode());
            assertThat(again.file().sizeBytes()).isEqualTo(512);
        }
    }

    @Test
    void reopensNothingElseUnderItsName() throws IOException {
        ImageFile image = create(root.resolve("image"));
        Path moved = Files.move(image.path(), root.resolve("moved"));

        assertRefused(ImageException.NotFound.class, () -> store.reopen(image, true));
        Files.createSymbolicLink(image.path(), moved);
        assertRefused(ImageException.Replaced.class, () -> store.reopen(image, true));
        Files.delete(image.path());
        Files.copy(moved, image.path());
        assertRefused(ImageException.Replaced.class, () -> store.reopen(image, true));
    }

    // Presence and deletion

    @Test
    void deletesAnImageOnce() throws IOException {
        ImageFile image = create(null);
        assertThat(store.presence(image)).isEqualTo(Presence.PRESENT);

        assertThat(store.delete(image)).isEqualTo(Deletion.DELETED);

        assertThat(image.path()).doesNotExist();
        assertThat(store.presence(image)).isEqualTo(Presence.GONE);
        assertThat(store.look(image).allocatedBytes()).isZero();
        assertThat(store.delete(image)).isEqualTo(Deletion.ALREADY_GONE);
    }

    @Test
    void anImageThatGrewOrShrankIsStillThatImage() throws IOException {
        ImageFile image = create(null);
        store.resize(image, 3 * MIB, Allocation.SPARSE);

        assertThat(store.presence(image)).isEqualTo(Presence.PRESENT);
        assertThat(store.delete(image)).isEqualTo(Deletion.DELETED);
    }

    @Test
    void deletesNoOtherFileOfThatName() throws IOException {
        ImageFile image = create(root.resolve("image"), MIB, Allocation.FULL);
        Path moved = Files.move(image.path(), root.resolve("moved"));
        Files.writeString(image.path(), "a stranger's");

        assertThat(store.delete(image)).isEqualTo(Deletion.REPLACED);

        assertThat(image.path()).hasContent("a stranger's");
        assertThat(moved).exists();
        assertThat(store.presence(image)).isEqualTo(Presence.REPLACED);
        assertThat(store.look(image).allocatedBytes()).isZero();
    }

    @Test
    void deletesNoNewFileThatWasGivenTheOldInodeNumber() throws IOException {
        // ext4 gives the number of a deleted file to the next one: device and inode alone took it for the image.
        ImageFile now = create(root.resolve("image"));
        ImageFile before = new ImageFile(now.path(), now.device(), now.inode(), now.birthNanos() - 1, now.sizeBytes());

        assertThat(store.delete(before)).isEqualTo(Deletion.REPLACED);
        assertThat(store.presence(before)).isEqualTo(Presence.REPLACED);
        assertRefused(ImageException.Replaced.class, () -> store.reopen(before, true));
        assertThat(now.path()).exists();
    }

    @Test
    void leavesARenamedImageAlone() throws IOException {
        ImageFile image = create(root.resolve("image"));
        Path moved = Files.move(image.path(), root.resolve("moved"));

        assertThat(store.delete(image)).isEqualTo(Deletion.ALREADY_GONE);
        assertThat(moved).exists();
    }

    @Test
    void leavesAnImageAloneThatLiesBehindASymbolicLinkNow() throws IOException {
        Path directory = Files.createDirectory(root.resolve("directory"));
        ImageFile image = create(directory.resolve("image"));
        Files.move(directory, outside.resolve("directory"));

        assertThat(store.presence(image)).isEqualTo(Presence.GONE);
        assertThat(store.delete(image)).isEqualTo(Deletion.ALREADY_GONE);

        Files.createSymbolicLink(directory, outside.resolve("directory"));

        assertThat(store.presence(image)).isEqualTo(Presence.REPLACED);
        assertThat(store.delete(image)).isEqualTo(Deletion.REPLACED);
        assertThat(outside.resolve("directory/image")).exists();
    }

    @Test
    void deletesNothingOutsideTheRoots() throws IOException {
        ImageFile image = create(root.resolve("image"));
        try (ImageStore narrower = new ImageStore(images, List.of())) {
            assertRefused(ImageException.OutsideRoots.class, () -> narrower.delete(image));
            assertRefused(ImageException.OutsideRoots.class, () -> narrower.presence(image));
        }
        assertThat(image.path()).exists();
    }

    // Resizing

    @Test
    void growsSparselyAndShrinks() throws IOException {
        ImageFile image = create(null);

        ImageFile grown = store.resize(image, 16 * MIB, Allocation.SPARSE);
        assertThat(grown.sizeBytes()).isEqualTo(16 * MIB).isEqualTo(Files.size(image.path()));
        assertThat(store.look(grown).allocatedBytes()).isZero();
        assertThat(grown.inode()).isEqualTo(image.inode());

        assertThat(store.resize(grown, 512, Allocation.FULL).sizeBytes())
                .isEqualTo(512)
                .isEqualTo(Files.size(image.path()));
    }

    @Test
    void reservesOnlyWhatItAdds() throws IOException {
        ImageFile image = create(null, 4 * MIB, Allocation.SPARSE);

        ImageFile grown = store.resize(image, 6 * MIB, Allocation.FULL);

        assertThat(grown.sizeBytes()).isEqualTo(6 * MIB);
        assertThat(store.look(grown).allocatedBytes()).isBetween(2 * MIB, 3 * MIB);
    }

    @Test
    void keepsTheSizeWhenTheDiskIsTooSmallToGrow() throws IOException {
        ImageFile image = create(null);
        long tooMuch = store.space().freeBytes() + 1024 * MIB;

        assertRefused(ImageException.NoSpace.class, () -> store.resize(image, tooMuch, Allocation.FULL));

        assertThat(Files.size(image.path())).isEqualTo(MIB);
    }

    @Test
    void resizesNoOtherFileOfThatName() throws IOException {
        ImageFile image = create(root.resolve("image"));
        Files.move(image.path(), root.resolve("moved"));
        assertRefused(ImageException.NotFound.class, () -> store.resize(image, 512, Allocation.SPARSE));

        Files.writeString(image.path(), "a stranger's");
        assertRefused(ImageException.Replaced.class, () -> store.resize(image, 512, Allocation.SPARSE));
        assertThat(image.path()).hasContent("a stranger's");
    }

    // Recovery

    @Test
    void listsOnlyRegularFilesNamedByItsGrammar() throws IOException {
        ImageFile own = create(null);
        Files.writeString(images.resolve("notes.txt"), "");
        Files.writeString(images.resolve("onebytetooshort.img"), "");
        Files.writeString(images.resolve("ofonebyteitistoolong.img"), "");
        Files.writeString(images.resolve("UPPERCASEUPPERCA.img"), "");
        Files.writeString(images.resolve(ID + ".img.bak"), "");
        Files.writeString(images.resolve("k3v9x0q2m7adp1c8ximg"), "");
        Files.createDirectory(images.resolve("sub"));
        Files.writeString(images.resolve("sub/k3v9x0q2m7aep1c8.img"), "");

        assertThat(store.ownNamed()).isEqualTo(new ImageStore.OwnNamed(List.of(own), List.of()));
    }

    /** The fault: a file that somebody put there and gave such a name was deleted at the next start. */
    @Test
    void takesNoFileForItsOwnThatIsNotAsItMakesThem() throws IOException {
        ImageFile own = create(null);
        Files.createDirectory(images.resolve("directory1234567.img"));
        Files.createSymbolicLink(images.resolve("symboliclink1234.img"), own.path());
        Path linked = ownLooking("hardlinked123456.img", "rw-------");
        Files.createLink(images.resolve("second name"), linked);
        ownLooking("readable12345678.img", "rw-r--r--");
        ownLooking("executable123456.img", "rwx------");
        Files.setAttribute(ownLooking("somebodys1234567.img", "rw-------"), "unix:uid", 65534);
        Path strict = ownLooking("strictumask12345.img", "r--------");

        ImageStore.OwnNamed found = store.ownNamed();

        assertThat(found.images()).extracting(ImageFile::path).containsExactlyInAnyOrder(own.path(), strict);
        assertThat(found.others())
                .extracting(path -> path.getFileName().toString())
                .containsExactlyInAnyOrder(
                        "directory1234567.img",
                        "symboliclink1234.img",
                        "hardlinked123456.img",
                        "readable12345678.img",
                        "executable123456.img",
                        "somebodys1234567.img");
    }

    private Path ownLooking(String name, String permissions) throws IOException {
        Path file = Files.writeString(store.directory().resolve(name), "");
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(permissions));
    }

    private ImageFile create(@Nullable Path where) throws IOException {
        return create(where, MIB, Allocation.SPARSE);
    }

    private ImageFile create(@Nullable Path where, long sizeBytes, Allocation allocation) throws IOException {
        try (OpenImage image = store.create(ID, where, sizeBytes, allocation)) {
            return image.file();
        }
    }

    private static void assertRefused(Class<? extends ImageException> why, ThrowingCallable call) {
        assertThatExceptionOfType(why).isThrownBy(call);
    }

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path, LinkOption.NOFOLLOW_LINKS));
    }

    private static int openFlags(OpenImage image) throws IOException {
        String flags = Files.readString(
                        Path.of("/proc/self/fdinfo/" + image.fd().number()))
                .lines()
                .filter(line -> line.startsWith("flags:"))
                .findFirst()
                .orElseThrow();
        return Integer.parseInt(flags.substring("flags:".length()).strip(), 8);
    }
}
