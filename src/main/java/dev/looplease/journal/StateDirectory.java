package dev.looplease.journal;

import dev.looplease.posix.Fd;
import dev.looplease.posix.FilesystemStat;
import dev.looplease.posix.Posix;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** The state directory, held exclusively until it is closed or the process dies, however it dies. */
public final class StateDirectory implements Closeable {

    private static final String LOCK = "lock";
    private static final int OTHERS_MAY_WRITE = 0002;

    private final Path path;
    private final Fd lock;

    private StateDirectory(Path path, Fd lock) {
        this.path = path;
        this.lock = lock;
    }

    /**
     * Locks {@code path}, which is made with mode 0700 where it is missing, its parents too.
     *
     * @throws StateDirectoryInUse when somebody holds it; says who
     * @throws IOException when it is a symbolic link, no directory, or writable by everybody: whoever may swap the
     *     files in it would tell a privileged agent what to delete
     */
    public static StateDirectory lock(Path path) throws IOException {
        Path absolute = path.toAbsolutePath();
        if (Files.isSymbolicLink(absolute)) {
            throw new IOException("the state directory " + absolute + " is a symbolic link: name the directory itself");
        }
        make(absolute);
        if (!Files.isDirectory(absolute, LinkOption.NOFOLLOW_LINKS)) {
            throw new IOException("the state directory " + absolute + " is no directory");
        }
        try (Fd directory = open(absolute)) {
            Fd lock = Posix.openBeneath(directory, LOCK, Posix.O_RDWR | Posix.O_CREAT, 0600);
            try {
                if (!Posix.tryLock(lock)) {
                    throw new StateDirectoryInUse(absolute, holder(absolute));
                }
                sign(lock);
                return new StateDirectory(absolute, lock);
            } catch (IOException | RuntimeException e) {
                lock.close();
                throw e;
            }
        }
    }

    /**
     * As {@link #lock}, for a directory that is there and holds what people look at: no lock file appears in it, the
     * directory itself is locked. Who has it cannot be told then.
     */
    public static StateDirectory lockInPlace(Path path) throws IOException {
        Path absolute = path.toAbsolutePath();
        Fd directory = open(absolute);
        try {
            if (!Posix.tryLock(directory)) {
                throw new StateDirectoryInUse(absolute, "another process");
            }
            return new StateDirectory(absolute, directory);
        } catch (IOException | RuntimeException e) {
            directory.close();
            throw e;
        }
    }

    private static Fd open(Path path) throws IOException {
        Fd directory = Posix.open(path, Posix.O_RDONLY | Posix.O_DIRECTORY | Posix.O_NOFOLLOW);
        try {
            if ((Posix.stat(directory).mode() & OTHERS_MAY_WRITE) != 0) {
                throw new IOException(
                        "the directory " + path + " is writable by everybody: chmod o-w it, or choose another");
            }
            return directory;
        } catch (IOException | RuntimeException e) {
            directory.close();
            throw e;
        }
    }

    /** The directory, absolute. */
    public Path path() {
        return path;
    }

    /** The filesystem that holds it. */
    public FilesystemStat filesystem() throws IOException {
        return Posix.statfs(lock);
    }

    /** Gives the directory free. The lock file stays: removing it would let two agents lock two files of that name. */
    @Override
    public void close() throws IOException {
        lock.close();
    }

    /** As {@link Files#createDirectories}, and the new names are on the disk: a journal in it can be no safer. */
    private static void make(Path directory) throws IOException {
        Path parent = directory.getParent();
        if (parent == null || Files.exists(directory)) {
            return;
        }
        make(parent);
        // Tolerates that another agent is first.
        Files.createDirectories(
                directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        try (Fd fd = Posix.open(parent, Posix.O_RDONLY | Posix.O_DIRECTORY)) {
            Posix.fsync(fd);
        }
    }

    /** Writes the process id over that of the last holder, and cuts after: so it needs no space on a full disk. */
    private static void sign(Fd lock) throws IOException {
        byte[] text = (ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.US_ASCII);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(text.length).copyFrom(MemorySegment.ofArray(text));
            Posix.pwrite(lock, bytes, 0);
        }
        Posix.ftruncate(lock, text.length);
    }

    private static String holder(Path directory) throws IOException {
        String pid = Files.readString(directory.resolve(LOCK)).strip();
        return pid.matches("[0-9]+") ? "process " + pid : "another process";
    }
}
