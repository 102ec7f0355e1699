package dev.looplease.journal;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;

/**
 * The open file of a log, to which one caller at a time appends. It knows where the last good record ends, and writes
 * the next one there: whatever a failed write left behind that offset is cut off, and where even that fails it is
 * written over. Disk space is reserved ahead, so that a full disk refuses a record before a byte of it is written.
 */
final class LogFile implements Closeable {

    /** How far beyond the need each reservation goes: one fallocate(2) for some 500 puts. */
    private static final long RESERVE_STEP_BYTES = 256 << 10;

    private final Fd fd;
    private long end;
    private long reservedTo;
    private boolean canReserve = true;

    private LogFile(Fd fd, long end) {
        this.fd = fd;
        this.end = end;
        this.reservedTo = end;
    }

    /** Opens an existing log whose last good record ends at {@code end}. */
    static LogFile open(Path path, long end) throws IOException {
        return new LogFile(Posix.open(path, Posix.O_RDWR | Posix.O_NOFOLLOW), end);
    }

    /**
     * Makes a new log of these records, and returns when it is on the disk.
     *
     * @param reserveBytes disk space to be had beyond them
     */
    static LogFile create(Path path, Map<String, byte[]> records, long reserveBytes) throws IOException {
        Fd fd = Posix.open(path, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW, 0600);
        LogFile log = new LogFile(fd, 0);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment block = arena.allocate(LogFormat.MAX_RECORD_BYTES);
            ByteBuffer buffer = block.asByteBuffer();
            LogFormat.encodeHeader(buffer);
            for (Map.Entry<String, byte[]> record : records.entrySet()) {
                if (buffer.remaining() < LogFormat.size(record.getKey(), record.getValue())) {
                    log.append(block.asSlice(0, buffer.position()));
                    buffer.clear();
                }
                LogFormat.encode(buffer, record.getKey(), record.getValue());
            }
            log.append(block.asSlice(0, buffer.position()));
            log.reserve(log.end + reserveBytes);
            log.sync();
            return log;
        } catch (IOException | RuntimeException e) {
            closeAfter(log, e);
            throw e;
        }
    }

    private static void closeAfter(LogFile log, Exception failure) {
        try {
            log.close();
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** Where the next record goes. */
    long end() {
        return end;
    }

    /**
     * Sees to it that the file may grow to {@code to} bytes on a disk that is full by then. Where the filesystem cannot
     * reserve space, the write itself will tell.
     */
    void reserve(long to) throws IOException {
        if (!canReserve || to <= reservedTo) {
            return;
        }
        try {
            reserveTo(to + RESERVE_STEP_BYTES);
        } catch (PosixException e) {
            if (e.errno() == Errno.EOPNOTSUPP || e.errno() == Errno.ENOSYS) {
                canReserve = false;
            } else {
                reserveTo(to);
            }
        }
    }

    private void reserveTo(long to) throws IOException {
        Posix.reserve(fd, reservedTo, to - reservedTo);
        reservedTo = to;
    }

    /** Appends whole records, or nothing. */
    void append(MemorySegment records) throws IOException {
        long size = records.byteSize();
        long written = 0;
        try {
            while (written < size) {
                written += Posix.pwrite(fd, records.asSlice(written), end + written);
            }
        } catch (IOException e) {
            if (written > 0) {
                cutOff(e);
            }
            throw e;
        }
        end += size;
    }

    /** Drops everything behind the last good record, and with it the reserve. Where that fails the next append covers it. */
    private void cutOff(IOException cause) {
        try {
            Posix.ftruncate(fd, end);
            reservedTo = end;
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }

    /**
     * Returns when all that was appended is on the disk. By fsync(2): for a file that grows, fdatasync(2) has the same
     * to write.
     */
    void sync() throws IOException {
        Posix.fsync(fd);
    }

    @Override
    public void close() throws IOException {
        fd.close();
    }
}
