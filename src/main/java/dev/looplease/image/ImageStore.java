package dev.looplease.image;

import static dev.looplease.posix.Posix.O_CREAT;
import static dev.looplease.posix.Posix.O_EXCL;
import static dev.looplease.posix.Posix.O_NOFOLLOW;
import static dev.looplease.posix.Posix.O_NONBLOCK;
import static dev.looplease.posix.Posix.O_RDONLY;
import static dev.looplease.posix.Posix.O_RDWR;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.FilesystemStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Makes, opens, resizes and deletes image files inside the allowed directories, and nowhere else. Thread-safe; it keeps
 * no record of what it made: an {@link ImageFile} carries all that is needed to find a file again and to know it.
 *
 * <p>A client's path is absolute, without {@code .} and {@code ..}, and walked beneath a root that was opened at the
 * start, by openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. So who swaps a component for a symbolic link
 * meanwhile gains a refusal. The roots themselves may be spelled over symbolic links; these are resolved once.
 */
public final class ImageStore implements Closeable {

    private static final Pattern ID = Pattern.compile("[a-z0-9]{16}");
    private static final String SUFFIX = ".img";
    private static final Pattern OWN_NAME = Pattern.compile(ID.pattern() + Pattern.quote(SUFFIX));
    private static final int OWNER_ONLY = 0600;

    /** At a file that somebody changes meanwhile. One that is merely written to stands still for long enough soon. */
    private static final int MOST_LOOKS = 20;

    private final Roots roots;
    private final Location images;

    /**
     * @param imagesDirectory where images without a path go; made, with its parents, 0700 when it is missing
     * @param roots further directories that clients may name; they must exist
     */
    public ImageStore(Path imagesDirectory, List<Path> roots) throws IOException {
        this(imagesDirectory, roots, List.of());
    }

    /**
     * @param closed the agent's own files and directories, which are nobody's image, even inside a root
     * @throws IllegalArgumentException when the images directory is one of those, or around one
     */
    public ImageStore(Path imagesDirectory, List<Path> roots, List<Path> closed) throws IOException {
        Files.createDirectories(
                imagesDirectory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        this.roots = new Roots(
                Stream.concat(Stream.of(imagesDirectory), roots.stream()).toList(), closed);
        this.images = this.roots.first();
    }

    /** Where images without a path go, without symbolic links, as the kernel reports backing files. */
    public Path directory() {
        return images.path();
    }

    /**
     * Whether a file lies in the images directory.
     *
     * @param image what the kernel calls it: by no means always a {@link Path}, in a locale without UTF-8
     */
    public boolean holds(String image) {
        return image.substring(0, image.lastIndexOf('/') + 1).equals(directory() + "/");
    }

    /** The id in a name that this store gives, {@code {id}.img}; the whole name of any other file. */
    public static String idOf(String image) {
        String name = image.substring(image.lastIndexOf('/') + 1);
        return OWN_NAME.matcher(name).matches() ? name.substring(0, name.length() - SUFFIX.length()) : name;
    }

    /**
     * Whether a file's name says that this store made it: {@code {id}.img} in the images directory. Such a file is
     * deleted when nobody knows it, so no client may choose such a name.
     *
     * @param image as in {@link ImageFile#path()}
     */
    public boolean isOwnNamed(Path image) {
        return directory().equals(image.getParent())
                && OWN_NAME.matcher(String.valueOf(image.getFileName())).matches();
    }

    /** Tells this images directory from every other, whatever it is called; letters and digits, at most 26. */
    public String directoryId() throws IOException {
        FileStat stat = Posix.stat(images.root());
        return Long.toUnsignedString(stat.inode(), 36) + Long.toUnsignedString(stat.birthNanos(), 36);
    }

    /** Hears of a file before anybody can make use of it: before it has its name, or before there is a byte in it. */
    @FunctionalInterface
    public interface Witness {
        void made(ImageFile file);
    }

    /**
     * Makes a new file of mode 0600, whatever the umask. It overwrites nothing, and on any failure leaves nothing.
     *
     * @param id of the image's device, {@code [a-z0-9]{16}}
     * @param where null for {@code {id}.img} in the images directory; an existing directory inside a root for {@code
     *     {id}.img} in it; else the file itself, in a directory that exists
     * @param sizeBytes more than 0
     * @param witness is told of a file with a name that a client chose before the file has it: {@code {id}.img} tells by
     *     itself whose it is, any other name does not. There, and where the filesystem has no O_TMPFILE, it is told while the
     *     file is empty, which nobody attaches.
     * @throws ImageException of every kind but HardLinked, NotADirectory, NotAFile and Replaced
     */
    public OpenImage create(String id, @Nullable Path where, long sizeBytes, Allocation allocation, Witness witness)
            throws ImageException {
        requirePositive(sizeBytes);
        if (!ID.matcher(id).matches()) {
            throw new IllegalArgumentException("id must match " + ID + ": " + id);
        }
        String ownName = ownName(id);
        String shown = where == null ? ownName : where.toString();
        try {
            Location location = where == null ? images.resolve(ownName) : newFile(where, ownName);
            try (Fd parent = location.holdParent()) {
                if (allocation == Allocation.FULL) {
                    requireFree(parent, sizeBytes, shown);
                }
                return location.name().equals(ownName)
                        ? create(parent, location, shown, sizeBytes, allocation, witness)
                        : createNamed(parent, location, shown, sizeBytes, allocation, witness);
            }
        } catch (IOException e) {
            throw where == null ? ImageException.of(shown, e) : ImageException.ofNamed(shown, e);
        }
    }

    /**
     * Refuses a path that leads to anything but a directory that is there.
     *
     * @throws ImageException NotADirectory, and what {@link #openExisting} throws of a path
     */
    public void requireDirectory(Path path) throws ImageException {
        String shown = path.toString();
        try (Fd pinned = roots.locate(path).pin()) {
            if (!Posix.stat(pinned).isDirectory()) {
                throw new ImageException.NotADirectory(shown);
            }
        } catch (IOException e) {
            throw ImageException.ofNamed(shown, e);
        }
    }

    /** The name that an image without one of its own gets. */
    public static String ownName(String id) {
        return id + SUFFIX;
    }

    /** The same for a file that nobody needs to be told of first. */
    public OpenImage create(String id, @Nullable Path where, long sizeBytes, Allocation allocation)
            throws ImageException {
        return create(id, where, sizeBytes, allocation, file -> {});
    }

    private Location newFile(Path where, String ownName) throws IOException {
        Location location = roots.locate(where);
        try (Fd found = location.pin()) {
            FileStat stat = Posix.stat(found);
            if (stat.isDirectory()) {
                return location.resolve(ownName);
            }
            throw new ImageException.Exists(where.toString(), stat.isRegularFile(), null);
        } catch (PosixException e) {
            if (e.errno() == Errno.ENOENT) {
                if (isOwnNamed(location.path())) {
                    throw new ImageException.InvalidPath("not be a name that the agent gives its own images");
                }
                return location;
            }
            throw e;
        }
    }

    private static OpenImage create(
            Fd parent, Location location, String shown, long sizeBytes, Allocation allocation, Witness witness)
            throws IOException {
        String name = location.name();
        Fd fd = Posix.openBeneath(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, OWNER_ONLY);
        try {
            Posix.fchmod(fd, OWNER_ONLY);
            ImageFile file = ImageFile.of(location.path(), Posix.stat(fd));
            witness.made(file);
            setLength(fd, 0, sizeBytes, allocation, shown);
            return new OpenImage(file.withSize(sizeBytes), fd);
        } catch (IOException | RuntimeException | Error e) {
            try (fd) {
                unlinkIfSame(parent, name, ImageFile.of(location.path(), Posix.stat(fd)));
            } catch (IOException undo) {
                e.addSuppressed(undo);
            }
            throw e;
        }
    }

    /** Makes the file without a name, tells of it, and only then gives it its name. */
    private static OpenImage createNamed(
            Fd parent, Location location, String shown, long sizeBytes, Allocation allocation, Witness witness)
            throws IOException {
        Fd fd;
        try {
            fd = Posix.openBeneath(parent, ".", Posix.O_TMPFILE | O_RDWR, OWNER_ONLY);
        } catch (PosixException e) {
            if (e.errno() != Errno.EOPNOTSUPP && e.errno() != Errno.EISDIR) {
                throw e;
            }
            return create(parent, location, shown, sizeBytes, allocation, witness);
        }
        try {
            Posix.fchmod(fd, OWNER_ONLY);
            setLength(fd, 0, sizeBytes, allocation, shown);
            ImageFile file = ImageFile.of(location.path(), Posix.stat(fd));
            witness.made(file);
            Posix.link(fd, parent, location.name());
            return opened(parent, location, shown, file);
        } finally {
            fd.close();
        }
    }

    /**
     * The file that has just got its name, opened by it: whatever is done with a descriptor from before, a loop device's
     * {@code backing_file} above all, goes by the name that a file without one has for the kernel, {@code #2187389}.
     */
    private static OpenImage opened(Fd parent, Location location, String shown, ImageFile file) throws IOException {
        Fd named = Posix.openBeneath(parent, location.name(), O_NOFOLLOW | O_RDWR | O_NONBLOCK, 0);
        try {
            if (!file.is(Posix.stat(named))) {
                throw new ImageException.Replaced(shown, null);
            }
            return new OpenImage(file, named);
        } catch (IOException | RuntimeException | Error e) {
            named.close();
            throw e;
        }
    }

    /**
     * Opens an existing regular file as it is.
     *
     * @throws ImageException InvalidPath, OutsideRoots, NotFound, NotAFile, Symlink, Forbidden; HardLinked when the file
     *     has a second name when it is looked at (who may write to the directory can give it one later); Replaced when it
     *     changes all the time; Failed with EAGAIN while another process holds a lease (fcntl(2)) on it
     */
    public OpenImage openExisting(Path path, boolean readOnly) throws ImageException {
        String shown = path.toString();
        try {
            Location location = roots.locate(path);
            for (int look = 0; look < MOST_LOOKS; look++) {
                try (Fd pinned = location.pin()) {
                    FileStat stat = Posix.stat(pinned);
                    if (!stat.isRegularFile() || !Posix.statfs(pinned).storesFiles()) {
                        throw new ImageException.NotAFile(shown);
                    }
                    if (stat.links() > 1) {
                        throw new ImageException.HardLinked(shown);
                    }
                    if (isNowhereElse(stat, location)) {
                        return open(pinned, location.path(), readOnly);
                    }
                }
            }
            throw new ImageException.Replaced(shown, null);
        } catch (IOException e) {
            throw ImageException.ofNamed(shown, e);
        }
    }

    /**
     * Whether a file with one name has that name here. It had it when it was pinned, but perhaps as the second of two, which
     * was gone when the names were counted: a file outside would be left, with one name, elsewhere. So the way is gone once
     * more, and nothing may have changed since the count.
     */
    private static boolean isNowhereElse(FileStat counted, Location location) throws IOException {
        try (Fd again = location.pin()) {
            return Posix.stat(again).equals(counted);
        }
    }

    /**
     * Opens an image again, whatever its size is now.
     *
     * @throws ImageException NotFound; Replaced when something else stands there; OutsideRoots when its root is none any
     *     more; Failed
     */
    public OpenImage reopen(ImageFile image, boolean readOnly) throws ImageException {
        String shown = shown(image);
        try {
            Location location = roots.locate(image.path());
            try (Fd pinned = location.pin()) {
                if (!image.is(Posix.stat(pinned))) {
                    throw new ImageException.Replaced(shown, null);
                }
                return open(pinned, location.path(), readOnly);
            }
        } catch (IOException e) {
            ImageException failure = ImageException.of(shown, e);
            throw failure instanceof ImageException.Symlink ? new ImageException.Replaced(shown, e) : failure;
        }
    }

    /**
     * Opens what is pinned, once it is known to be harmless. Its link in {@code /proc} leads to the pinned inode itself,
     * so nobody can put a FIFO or a device in its place between the look and this; walking the path again would allow
     * that. {@code /proc/self} and no number, because a container may see its host's {@code /proc}.
     */
    private static OpenImage open(Fd pinned, Path path, boolean readOnly) throws IOException {
        // O_NONBLOCK: does not wait for another process to give up its lease on the file. I/O ignores it.
        Fd fd = Posix.open(procLink(pinned), (readOnly ? O_RDONLY : O_RDWR) | O_NONBLOCK);
        try {
            // Asked of this descriptor: overlayfs gives a file another inode when it is first opened for writing.
            return new OpenImage(ImageFile.of(path, Posix.stat(fd)), fd);
        } catch (IOException | RuntimeException | Error e) {
            try (fd) {
                throw e;
            }
        }
    }

    /**
     * Grows or shrinks the file; on failure its size is as it was. One image is resized by one thread at a time: the undo
     * of one would cut off what another has added.
     *
     * @param sizeBytes the new size, more than 0; what is cut off is lost
     * @param allocation FULL reserves the part that is added
     * @return the image with its new size
     * @throws ImageException NotFound, Replaced, OutsideRoots, NoSpace, TooLarge, Failed
     */
    public ImageFile resize(ImageFile image, long sizeBytes, Allocation allocation) throws ImageException {
        requirePositive(sizeBytes);
        String shown = shown(image);
        try (OpenImage open = reopen(image, false)) {
            Fd fd = open.fd();
            long before = open.file().sizeBytes();
            if (allocation == Allocation.FULL) {
                requireFree(fd, sizeBytes - before, shown);
            }
            try {
                setLength(fd, before, sizeBytes, allocation, shown);
            } catch (IOException e) {
                try {
                    // ext4 grows the file extent by extent, and stops where the disk is full.
                    Posix.ftruncate(fd, before);
                } catch (IOException undo) {
                    e.addSuppressed(undo);
                }
                throw e;
            }
            return ImageFile.of(open.file().path(), Posix.stat(fd));
        } catch (IOException e) {
            throw ImageException.of(shown, e);
        }
    }

    /**
     * Unlinks the file if it is still that inode. Neither a renamed image nor another file of its name is touched. Linux
     * cannot unlink by inode: between the look and the unlink, some microseconds apart in one held directory, a process
     * that may write to that directory could put another file in its place, and that one would be lost.
     *
     * @throws ImageException OutsideRoots when its root is none any more; Failed
     */
    public Deletion delete(ImageFile image) throws ImageException {
        try {
            Location location = roots.locate(image.path());
            try (Fd parent = location.holdParent()) {
                return unlinkIfSame(parent, location.name(), image) ? Deletion.DELETED : Deletion.REPLACED;
            }
        } catch (IOException e) {
            return whyMissing(image, e) == Presence.GONE ? Deletion.ALREADY_GONE : Deletion.REPLACED;
        }
    }

    private static boolean unlinkIfSame(Fd parent, String name, ImageFile image) throws IOException {
        if (!image.is(Posix.lstatAt(parent, name))) {
            return false;
        }
        Posix.unlinkAt(parent, name);
        return true;
    }

    /** Whether the image is still at its path. */
    public Presence presence(ImageFile image) throws ImageException {
        return look(image).presence();
    }

    /**
     * An image as it is found at its path.
     *
     * @param sizeBytes its length; 0 when it is gone or replaced
     * @param allocatedBytes what it occupies on its disk, holes not counted; likewise
     */
    public record Sight(Presence presence, long sizeBytes, long allocatedBytes) {

        /** What is known of an image that nobody can look at. */
        public static Sight recorded(ImageFile image) {
            return new Sight(Presence.PRESENT, image.sizeBytes(), 0);
        }

        static Sight none(Presence presence) {
            return new Sight(presence, 0, 0);
        }
    }

    /** Looks for the image at its path. */
    public Sight look(ImageFile image) throws ImageException {
        try {
            FileStat stat = roots.locate(image.path()).stat();
            return image.is(stat)
                    ? new Sight(Presence.PRESENT, stat.sizeBytes(), stat.allocatedBytes())
                    : Sight.none(Presence.REPLACED);
        } catch (IOException e) {
            return Sight.none(whyMissing(image, e));
        }
    }

    /**
     * Whether the filesystem that an image was on is not mounted: where its directory should be one sees the system's own.
     * Device numbers tell no more: those of some filesystems are others after a reboot. An overlay's tell nothing.
     */
    public boolean isUnmounted(ImageFile image) throws ImageException {
        try (Fd system = Posix.open(Path.of("/"), Posix.O_PATH | Posix.O_DIRECTORY)) {
            DeviceNumber device = Posix.stat(system).device();
            return !device.equals(image.device())
                    && device.equals(roots.locate(image.path()).nearest().device())
                    && !Posix.statfs(system).isOverlay();
        } catch (IOException e) {
            throw ImageException.of(shown(image), e);
        }
    }

    /** What a failed walk to an image says of it: gone, or shadowed by a symbolic link; anything else is thrown. */
    private static Presence whyMissing(ImageFile image, IOException failure) throws ImageException {
        return switch (ImageException.of(shown(image), failure)) {
            case ImageException.NotFound gone -> Presence.GONE;
            case ImageException.Symlink shadowed -> Presence.REPLACED;
            case ImageException other -> throw other;
        };
    }

    /** The room on the filesystem of the images directory. */
    public Space space() throws IOException {
        FilesystemStat filesystem = Posix.statfs(images.root());
        return new Space(filesystem.totalBytes(), filesystem.availableBytes());
    }

    /** Whether an image could be made in the images directory: it still exists, and its filesystem is not read-only. */
    public boolean isWritable() throws IOException {
        return Posix.stat(images.root()).links() > 0 && Files.isWritable(procLink(images.root()));
    }

    /**
     * What is named in the images directory as this store names its images, {@code {id}.img}.
     *
     * @param images files that are in all as this store makes them: regular, of its own user, with one name, and nobody
     *     else may read or write them
     * @param others what is not
     */
    public record OwnNamed(List<ImageFile> images, List<Path> others) {}

    /** Looks for what this store made; for recovery. */
    public OwnNamed ownNamed() throws IOException {
        List<ImageFile> found = new ArrayList<>();
        List<Path> others = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(procLink(images.root()))) {
            for (Path entry : entries) {
                String name = entry.getFileName().toString();
                Optional<FileStat> stat = OWN_NAME.matcher(name).matches() ? statOwn(name) : Optional.empty();
                if (stat.isPresent()) {
                    Path path = images.resolve(name).path();
                    if (isAsMade(stat.get())) {
                        found.add(ImageFile.of(path, stat.get()));
                    } else {
                        others.add(path);
                    }
                }
            }
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return new OwnNamed(found, others);
    }

    private static boolean isAsMade(FileStat stat) {
        return stat.isRegularFile()
                && stat.links() == 1
                && stat.owner() == Posix.effectiveUser()
                // Less only where the agent died between making it and setting the mode, under a strict umask.
                && (stat.permissions() & ~OWNER_ONLY) == 0;
    }

    private Optional<FileStat> statOwn(String name) throws IOException {
        try {
            return Optional.of(Posix.lstatAt(images.root(), name));
        } catch (PosixException e) {
            if (e.errno() == Errno.ENOENT) {
                // Deleted since the directory was read.
                return Optional.empty();
            }
            throw e;
        }
    }

    /** Lets go of the roots. Images that are open stay open. */
    @Override
    public void close() throws IOException {
        roots.close();
    }

    /**
     * Asked before fallocate(2), which would fill the disk to the last block, for everybody, before it fails. What ext4
     * keeps for root stays untouched. An unlimited tmpfs does not say what it has.
     */
    private static void requireFree(Fd onFilesystem, long bytes, String shown) throws IOException {
        FilesystemStat filesystem = Posix.statfs(onFilesystem);
        if (filesystem.totalBytes() != 0 && bytes > filesystem.availableBytes()) {
            throw new ImageException.NoSpace(shown, null);
        }
    }

    private static void setLength(Fd fd, long before, long after, Allocation allocation, String shown)
            throws IOException {
        if (allocation == Allocation.FULL && after > before) {
            reserve(fd, before, after - before);
            return;
        }
        try {
            Posix.ftruncate(fd, after);
        } catch (PosixException e) {
            // ftruncate(2) allows filesystems this for a length beyond their largest file; most answer EFBIG.
            throw e.errno() == Errno.EINVAL ? new ImageException.TooLarge(shown, e) : e;
        }
    }

    private static void reserve(Fd fd, long offset, long length) throws IOException {
        while (true) {
            try {
                Posix.fallocate(fd, offset, length);
                return;
            } catch (PosixException e) {
                // tmpfs gives up for any signal, a profiler's too, and takes back what it had reserved.
                if (e.errno() != Errno.EINTR) {
                    throw e;
                }
            }
        }
    }

    private static Path procLink(Fd fd) {
        return Path.of("/proc/self/fd", Integer.toString(fd.number()));
    }

    /** The bare name: these images are known by identity, and the client may never have given their path. */
    private static String shown(ImageFile image) {
        return String.valueOf(image.path().getFileName());
    }

    private static void requirePositive(long sizeBytes) {
        if (sizeBytes <= 0) {
            throw new IllegalArgumentException("sizeBytes must be more than 0: " + sizeBytes);
        }
    }
}
