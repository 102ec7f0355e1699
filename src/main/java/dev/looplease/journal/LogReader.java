package dev.looplease.journal;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads a log from beginning to end, whatever happened to it: where no intact record stands it moves on byte by byte to
 * the next one. It holds a window of the file, not the file.
 */
final class LogReader {

    /**
     * What a file holds.
     *
     * @param live the last value of each key that was not struck out
     * @param end where the last intact record ends, and the next belongs
     * @param lengthBytes the file's length
     * @param stretches what could not be read, in order
     * @param foreign why the whole file is none of this format; null where it is
     */
    record Contents(
            Map<String, byte[]> live,
            long end,
            long lengthBytes,
            List<Stretch> stretches,
            @Nullable String foreign) {}

    /** Bytes that are no record, and what is wrong with them. */
    record Stretch(long offset, long lengthBytes, String reason) {}

    private final FileChannel in;
    private final long lengthBytes;
    private final ByteBuffer window =
            ByteBuffer.allocate(2 * LogFormat.MAX_RECORD_BYTES).limit(0);
    /** The file's offset of the window's position. */
    private long offset;

    private final Map<String, byte[]> live = new HashMap<>();
    private final List<Stretch> stretches = new ArrayList<>();
    private boolean inStretch;
    private long stretchStart;
    private boolean onlyZeros;
    private String reason = "";

    private LogReader(FileChannel in) throws IOException {
        this.in = in;
        this.lengthBytes = in.size();
    }

    static Contents read(FileChannel in) throws IOException {
        return new LogReader(in).read();
    }

    private Contents read() throws IOException {
        fill(LogFormat.HEADER_BYTES);
        int version = LogFormat.headerVersion(window, window.position());
        boolean intactHeader = version == LogFormat.VERSION;
        if (intactHeader) {
            skip(LogFormat.HEADER_BYTES);
        } else if (version != 0) {
            return foreign("it has format version " + version + ", this agent reads " + LogFormat.VERSION);
        }
        long end = offset;
        boolean anyRecord = false;
        while (fill(1)) {
            int size = intactRecord();
            if (size > 0) {
                endStretch();
                anyRecord = true;
                apply();
                skip(size);
                end = offset;
            } else {
                if (!inStretch) {
                    beginStretch();
                }
                onlyZeros &= window.get(window.position()) == 0;
                skip(1);
            }
        }
        endStretch();
        if (!intactHeader && !anyRecord) {
            return foreign(lengthBytes == 0 ? "it is empty" : "neither its header nor any record is of this format");
        }
        return new Contents(live, end, lengthBytes, stretches, null);
    }

    private Contents foreign(String why) {
        return new Contents(Map.of(), 0, lengthBytes, List.of(), why);
    }

    /** The size of the intact record at the window's position, 0 where there is none. */
    private int intactRecord() throws IOException {
        fill(LogFormat.RECORD_HEADER_BYTES);
        int size = LogFormat.claimedSize(window, window.position());
        return size > 0 && fill(size) && LogFormat.isIntact(window, window.position(), size) ? size : 0;
    }

    private void apply() {
        String key = LogFormat.key(window, window.position());
        byte[] value = LogFormat.value(window, window.position());
        if (value == null) {
            live.remove(key);
        } else {
            live.put(key, value);
        }
    }

    private void beginStretch() {
        inStretch = true;
        stretchStart = offset;
        onlyZeros = true;
        int claimed = LogFormat.claimedSize(window, window.position());
        if (offset == 0) {
            reason = "the file's header is damaged";
        } else if (claimed > lengthBytes - offset || LogFormat.isTornHeader(window)) {
            reason = "a torn record, its first " + (lengthBytes - offset) + " bytes";
        } else if (claimed == 0) {
            reason = "nonsense, not a record";
        } else {
            reason = "a record whose checksum does not match";
        }
    }

    private void endStretch() {
        if (inStretch) {
            String why = onlyZeros ? "zeros, never a record" : reason;
            stretches.add(new Stretch(stretchStart, offset - stretchStart, why));
            inStretch = false;
        }
    }

    /** Brings the next {@code wanted} bytes into the window; false when the file ends before. */
    private boolean fill(int wanted) throws IOException {
        if (window.remaining() < wanted && offset + window.remaining() < lengthBytes) {
            window.compact();
            int read;
            do {
                read = in.read(window);
            } while (read >= 0 && window.hasRemaining());
            window.flip();
        }
        return window.remaining() >= wanted;
    }

    private void skip(int bytes) {
        window.position(window.position() + bytes);
        offset += bytes;
    }
}
