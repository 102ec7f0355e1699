package dev.looplease.journal;

import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A map of small values that survives kill -9 of the agent: every change is appended to one file, checksummed, before
 * the call returns. It belongs to whoever holds the {@link StateDirectory}; many threads may use it.
 *
 * <p>The live values are in memory, and the file follows them. So a file that has grown, or that the disk has failed, is
 * written anew from memory; and while that goes on, the others append to the old one. A thread of the journal's own does so
 * where a file has grown: whoever just appends, holding locks perhaps, never waits for a disk.
 *
 * <p>On a full disk {@link #put} fails before it writes, and {@link #remove} goes on: space to strike out every live
 * record is reserved beforehand, and only strike-outs use it.
 */
public final class Journal implements Closeable {

    /** A smaller file is not worth writing anew. */
    static final long COMPACT_ABOVE_BYTES = 1 << 20;

    private static final int COMPACT_ABOVE_LIVE = 4;
    private static final long MIN_RESERVE_BYTES = 64 << 10;
    private static final Logger logger = LoggerFactory.getLogger(Journal.class);

    /**
     * How the journal is doing.
     *
     * @param liveRecords keys that have a value
     * @param liveBytes what their records take
     * @param fileBytes the log's length, superseded records and all
     * @param compactions how often the log was written anew since it was opened
     * @param failedCompactions how often that failed
     */
    public record Stats(int liveRecords, long liveBytes, long fileBytes, long compactions, long failedCompactions) {}

    private final Path file;
    private final List<Damage> damage;

    /**
     * Held for what takes milliseconds: an fsync, writing the log anew. Taken before {@link #appending}, never within.
     * A put that is content with the kernel's memory never waits for it.
     */
    private final ReentrantLock maintenance = new ReentrantLock();
    /** Every change up to this one is on the disk; -1: nobody knows. Guarded by maintenance, like the next two. */
    private long synced = -1;
    /**
     * An fsync has failed. The kernel tells that once and calls the pages clean, so that another fsync would succeed
     * without having written them: only a new file is to be trusted again.
     */
    private boolean suspect;

    private boolean directorySynced;

    /** Held for microseconds: one write. */
    private final ReentrantLock appending = new ReentrantLock();
    /** The log is worth writing anew, or closed. */
    private final Condition grown = appending.newCondition();
    /** Guarded by appending, like all that follows. The log is exchanged with both locks held. */
    private LogFile log;

    private boolean closed;

    private final Map<String, byte[]> live;
    private long liveBytes;
    private long strikeOutBytes;
    /** Counts the changes. */
    private long changes;
    /** The keys that changed since a compaction took its copy; null while none is running. */
    private @Nullable Set<String> changedMeanwhile;

    private long compactAbove = COMPACT_ABOVE_BYTES;
    private long compactions;
    private long failedCompactions;

    private Journal(Path file, LogFile log, Map<String, byte[]> live, List<Damage> damage) {
        this.file = file;
        this.log = log;
        this.live = new HashMap<>(live);
        this.damage = List.copyOf(damage);
        live.forEach((key, value) -> {
            liveBytes += LogFormat.size(key, value);
            strikeOutBytes += LogFormat.size(key, null);
        });
    }

    /**
     * Reads the log at {@code file}, or begins one. What cannot be read is set aside and listed in {@link #damage}; a
     * file that is no log, or one of another version, is set aside whole. A log that holds more than its live records
     * is written anew, unless the disk is too full for that.
     *
     * @throws IOException where the file cannot be read or written at all, or is no regular file
     */
    public static Journal open(Path file) throws IOException {
        // A compaction that did not come to its rename: the log itself is still whole.
        Files.deleteIfExists(beside(file));
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            return begin(file, List.of());
        }
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            throw new IOException(file + " is not a regular file, and so no journal");
        }
        LogReader.Contents contents;
        List<Damage> damage;
        Quarantine quarantine = new Quarantine(file);
        try (FileChannel in = FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS)) {
            contents = LogReader.read(in);
            damage = quarantine.copy(in, contents.stretches());
        }
        if (contents.foreign() != null) {
            Path setAside = contents.lengthBytes() == 0 ? null : quarantine.move();
            return begin(file, List.of(new Damage(0, contents.lengthBytes(), contents.foreign(), setAside)));
        }
        Journal journal = new Journal(file, LogFile.open(file, contents.end()), contents.live(), damage);
        if (!damage.isEmpty() || contents.lengthBytes() != LogFormat.HEADER_BYTES + journal.liveBytes) {
            journal.compact();
        }
        return journal.started();
    }

    private static Journal begin(Path file, List<Damage> damage) throws IOException {
        LogFile log = LogFile.create(beside(file), Map.of(), MIN_RESERVE_BYTES);
        Files.move(beside(file), file, StandardCopyOption.ATOMIC_MOVE);
        return new Journal(file, log, Map.of(), damage).started();
    }

    private Journal started() {
        Thread.ofPlatform().name("journal").daemon().start(this::compactWheneverDue);
        return this;
    }

    /** What is live now, by key; just after {@link #open}: what was recovered. A copy, for the caller to keep. */
    public Map<String, byte[]> live() {
        appending.lock();
        try {
            Map<String, byte[]> copy = HashMap.newHashMap(live.size());
            live.forEach((key, value) -> copy.put(key, value.clone()));
            return copy;
        } finally {
            appending.unlock();
        }
    }

    /** What {@link #open} could not read, in the file's order. */
    public List<Damage> damage() {
        return damage;
    }

    /**
     * Writes a value, in place of the one that the key had.
     *
     * @param key 1 to 255 characters of ASCII
     * @param value at most 1 MiB
     * @throws dev.looplease.posix.PosixException with the errno (ENOSPC, EIO) when it could not be written; the key then
     *     has the value that it had before. Only if the agent is killed before a failed disk lets the record be taken
     *     back, {@link #open} may find it.
     */
    public void put(String key, byte[] value, Durability durability) throws IOException {
        LogFormat.checkKey(key);
        LogFormat.checkValue(value);
        byte[] mine = value.clone();
        byte @Nullable [] before;
        long change;
        try (Arena arena = Arena.ofConfined()) {
            var bytes = LogFormat.encode(arena, key, mine);
            appending.lock();
            try {
                before = live.get(key);
                long strikeOuts = strikeOutBytes + (before == null ? LogFormat.size(key, null) : 0);
                log.reserve(log.end() + bytes.byteSize() + Math.max(MIN_RESERVE_BYTES, strikeOuts));
                log.append(bytes);
                change = apply(key, mine);
            } finally {
                appending.unlock();
            }
        }
        if (durability == Durability.DISK) {
            try {
                sync(change);
            } catch (IOException e) {
                withdraw(key, mine, before, e);
                throw e;
            }
        }
    }

    /**
     * Strikes a key out; one that is not there is a success.
     *
     * @throws dev.looplease.posix.PosixException with the errno when the strike-out could not be written, and the key is
     *     still there; or, with {@link Durability#DISK}, when it is struck out but a power cut may bring it back: then
     *     call again
     */
    public void remove(String key, Durability durability) throws IOException {
        LogFormat.checkKey(key);
        long change;
        try (Arena arena = Arena.ofConfined()) {
            var bytes = LogFormat.encode(arena, key, null);
            appending.lock();
            try {
                if (live.containsKey(key)) {
                    log.append(bytes);
                    apply(key, null);
                }
                change = changes;
            } finally {
                appending.unlock();
            }
        }
        if (durability == Durability.DISK) {
            sync(change);
        }
    }

    /**
     * Returns when the disk has every change so far.
     *
     * @throws dev.looplease.posix.PosixException with the errno when it may not have them; they count all the same
     */
    public void sync() throws IOException {
        long change;
        appending.lock();
        try {
            change = changes;
        } finally {
            appending.unlock();
        }
        sync(change);
    }

    public Stats stats() {
        appending.lock();
        try {
            return new Stats(live.size(), liveBytes, log.end(), compactions, failedCompactions);
        } finally {
            appending.unlock();
        }
    }

    /** Gives the file free. What was written stays; a later call of another method is an error in the program. */
    @Override
    public void close() throws IOException {
        maintenance.lock();
        appending.lock();
        try {
            closed = true;
            grown.signal();
            log.close();
        } finally {
            appending.unlock();
            maintenance.unlock();
        }
    }

    /** Makes memory say what the log says; returns the change's number. */
    private long apply(String key, byte @Nullable [] value) {
        byte[] before = value == null ? live.remove(key) : live.put(key, value);
        if (before != null) {
            liveBytes -= LogFormat.size(key, before);
            strikeOutBytes -= LogFormat.size(key, null);
        }
        if (value != null) {
            liveBytes += LogFormat.size(key, value);
            strikeOutBytes += LogFormat.size(key, null);
        }
        if (changedMeanwhile != null) {
            changedMeanwhile.add(key);
        }
        if (isCompactionDue()) {
            grown.signal();
        }
        return ++changes;
    }

    /** Takes a value back that the disk has refused, unless somebody has put another in its place meanwhile. */
    @SuppressWarnings("ReferenceEquality") // every put has an array of its own: the same one is the same put
    private void withdraw(String key, byte[] mine, byte @Nullable [] before, IOException cause) {
        try (Arena arena = Arena.ofConfined()) {
            var bytes = LogFormat.encode(arena, key, before);
            appending.lock();
            try {
                if (live.get(key) == mine) {
                    apply(key, before);
                    log.append(bytes);
                }
            } finally {
                appending.unlock();
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    /** Returns when the disk has that change. Whoever waits for the lock is mostly served by the fsync before. */
    private void sync(long change) throws IOException {
        maintenance.lock();
        try {
            if (synced < change) {
                if (suspect) {
                    rewrite();
                } else {
                    syncLog();
                }
            }
            if (!directorySynced) {
                syncDirectory();
            }
        } finally {
            maintenance.unlock();
        }
    }

    private void syncLog() throws IOException {
        long covered;
        appending.lock();
        try {
            covered = changes;
        } finally {
            appending.unlock();
        }
        try {
            log.sync();
        } catch (IOException e) {
            suspect = true;
            throw e;
        }
        synced = covered;
    }

    private boolean isCompactionDue() {
        return log.end() > compactAbove && log.end() > COMPACT_ABOVE_LIVE * liveBytes;
    }

    private void compactWheneverDue() {
        while (awaitGrowth()) {
            maintenance.lock();
            try {
                // Somebody may have written it anew meanwhile, or closed it.
                if (isWorthCompacting()) {
                    compact();
                }
            } finally {
                maintenance.unlock();
            }
        }
    }

    /** Returns false once the journal is closed. */
    private boolean awaitGrowth() {
        appending.lock();
        try {
            while (!closed && !isCompactionDue()) {
                grown.awaitUninterruptibly();
            }
            return !closed;
        } finally {
            appending.unlock();
        }
    }

    private boolean isWorthCompacting() {
        appending.lock();
        try {
            return !closed && isCompactionDue();
        } finally {
            appending.unlock();
        }
    }

    /** Writes the log anew, or goes on with the old one and tries again when it has grown by another MiB. */
    private void compact() {
        try {
            rewrite();
        } catch (IOException | RuntimeException | Error e) {
            appending.lock();
            try {
                failedCompactions++;
                compactAbove = log.end() + COMPACT_ABOVE_BYTES;
            } finally {
                appending.unlock();
            }
            logger.warn("The journal {} could not be written anew, and grows on: {}", file, e.toString());
        }
    }

    /**
     * Writes the live records to a new file and puts it in the log's place. Killed anywhere, the directory holds one
     * whole log: the old until the rename, the new from then on. The caller holds {@link #maintenance}, so that nobody
     * is told that the new file's records are on the disk before its name is.
     */
    private void rewrite() throws IOException {
        Map<String, byte[]> copy;
        long covered;
        long reserve;
        appending.lock();
        try {
            copy = new HashMap<>(live);
            covered = changes;
            reserve = Math.max(MIN_RESERVE_BYTES, strikeOutBytes);
            changedMeanwhile = new HashSet<>();
        } finally {
            appending.unlock();
        }
        LogFile fresh = null;
        LogFile old;
        try {
            Files.deleteIfExists(beside(file));
            fresh = LogFile.create(beside(file), copy, reserve);
            old = exchange(fresh, copy.keySet());
        } catch (IOException | RuntimeException e) {
            discard(fresh, e);
            throw e;
        } finally {
            forgetChanges();
        }
        synced = covered;
        suspect = false;
        directorySynced = false;
        try (old) {
            syncDirectory();
        }
    }

    /** Brings the new file up to date and makes it the log; returns the old one. */
    private LogFile exchange(LogFile fresh, Set<String> copied) throws IOException {
        appending.lock();
        try (Arena arena = Arena.ofConfined()) {
            for (String key : changedMeanwhile == null ? Set.<String>of() : changedMeanwhile) {
                byte[] value = live.get(key);
                if (value != null || copied.contains(key)) {
                    fresh.append(LogFormat.encode(arena, key, value));
                }
            }
            fresh.reserve(fresh.end() + Math.max(MIN_RESERVE_BYTES, strikeOutBytes));
            Files.move(beside(file), file, StandardCopyOption.ATOMIC_MOVE);
            LogFile old = log;
            log = fresh;
            compactAbove = COMPACT_ABOVE_BYTES;
            compactions++;
            return old;
        } finally {
            appending.unlock();
        }
    }

    private void discard(@Nullable LogFile fresh, Exception cause) {
        try {
            if (fresh != null) {
                fresh.close();
            }
            Files.deleteIfExists(beside(file));
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    private void forgetChanges() {
        appending.lock();
        try {
            changedMeanwhile = null;
        } finally {
            appending.unlock();
        }
    }

    private void syncDirectory() throws IOException {
        Path parent = Objects.requireNonNull(file.toAbsolutePath().getParent(), "a file lies in a directory");
        try (Fd directory = Posix.open(parent, Posix.O_RDONLY | Posix.O_DIRECTORY)) {
            Posix.fsync(directory);
        }
        directorySynced = true;
    }

    private static Path beside(Path file) {
        return file.resolveSibling(file.getFileName() + ".new");
    }
}
