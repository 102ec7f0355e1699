package dev.looplease.journal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of the log; numbers are big-endian.
 *
 * <pre>
 * header   0 magic (8)   8 version (4)   12 CRC32C of bytes 0 to 11 (4)
 * record   0 magic (4)   4 CRC32C of all that follows (4)   8 type (1)   9 key length (1)   10 value length (4)   14 key, value
 * </pre>
 *
 * Both magics begin with FF, a byte that UTF-8 never uses: no text in a value, whoever chose it, can pass for a record
 * when the reader looks for the next one behind a damaged stretch.
 */
final class LogFormat {

    static final int HEADER_BYTES = 16;
    static final int RECORD_HEADER_BYTES = 14;
    static final int MAX_KEY_BYTES = 255;
    static final int MAX_VALUE_BYTES = 1 << 20;
    static final int MAX_RECORD_BYTES = RECORD_HEADER_BYTES + MAX_KEY_BYTES + MAX_VALUE_BYTES;
    static final int VERSION = 1;

    /** FF, then {@code loopjrn}. */
    private static final long HEADER_MAGIC = 0xFF_6C6F6F706A726EL;
    /** FF, then {@code rec}. */
    private static final int RECORD_MAGIC = 0xFF_726563;

    private static final int CHECKED_FROM = 8;
    private static final byte PUT = 1;
    private static final byte REMOVE = 2;
    private static final byte[] NOTHING = {};

    private LogFormat() {}

    /** How many bytes the record takes; a null value strikes the key out. */
    static int size(String key, byte @Nullable [] value) {
        return RECORD_HEADER_BYTES + key.length() + (value == null ? 0 : value.length);
    }

    static void checkKey(String key) {
        if (key.isEmpty() || key.length() > MAX_KEY_BYTES || !key.chars().allMatch(c -> c < 0x80)) {
            throw new IllegalArgumentException(
                    "key must have 1 to " + MAX_KEY_BYTES + " characters, all ASCII: \"" + key + '"');
        }
    }

    static void checkValue(byte[] value) {
        if (value.length > MAX_VALUE_BYTES) {
            throw new IllegalArgumentException(
                    "value must have at most " + MAX_VALUE_BYTES + " bytes, not " + value.length);
        }
    }

    /** The record in native memory, ready to be written. */
    static MemorySegment encode(SegmentAllocator allocator, String key, byte @Nullable [] value) {
        MemorySegment record = allocator.allocate(size(key, value));
        encode(record.asByteBuffer(), key, value);
        return record;
    }

    /** Appends the record to {@code target}. */
    static void encode(ByteBuffer target, String key, byte @Nullable [] value) {
        byte[] content = value == null ? NOTHING : value;
        int start = target.position();
        target.putInt(RECORD_MAGIC)
                .putInt(0)
                .put(value == null ? REMOVE : PUT)
                .put((byte) key.length())
                .putInt(content.length)
                .put(key.getBytes(StandardCharsets.US_ASCII))
                .put(content);
        target.putInt(start + 4, checksum(target, start + CHECKED_FROM, target.position()));
    }

    static void encodeHeader(ByteBuffer target) {
        int start = target.position();
        target.putLong(HEADER_MAGIC).putInt(VERSION);
        target.putInt(checksum(target, start, start + 12));
    }

    /** The version that an intact header at {@code at} names; 0 where there is none. */
    static int headerVersion(ByteBuffer bytes, int at) {
        boolean intact = bytes.limit() - at >= HEADER_BYTES
                && bytes.getLong(at) == HEADER_MAGIC
                && bytes.getInt(at + 12) == checksum(bytes, at, at + 12);
        return intact ? bytes.getInt(at + 8) : 0;
    }

    /** The size that a record at {@code at} claims; 0 where nothing there could begin a record. Nothing is proved yet. */
    static int claimedSize(ByteBuffer bytes, int at) {
        if (bytes.limit() - at < RECORD_HEADER_BYTES || bytes.getInt(at) != RECORD_MAGIC) {
            return 0;
        }
        byte type = bytes.get(at + 8);
        int keyBytes = Byte.toUnsignedInt(bytes.get(at + 9));
        int valueBytes = bytes.getInt(at + 10);
        int largest = type == PUT ? MAX_VALUE_BYTES : 0;
        boolean possible = (type == PUT || type == REMOVE) && keyBytes > 0 && valueBytes >= 0 && valueBytes <= largest;
        return possible ? RECORD_HEADER_BYTES + keyBytes + valueBytes : 0;
    }

    /** Whether what remains is too short for a record's header, and begins like one. */
    static boolean isTornHeader(ByteBuffer bytes) {
        int there = bytes.remaining();
        ByteBuffer magic = ByteBuffer.allocate(4).putInt(0, RECORD_MAGIC);
        int compared = Math.min(there, 4);
        return there < RECORD_HEADER_BYTES
                && bytes.slice(bytes.position(), compared).equals(magic.slice(0, compared));
    }

    /** Whether the {@code size} bytes at {@code at} are what was once written. */
    static boolean isIntact(ByteBuffer bytes, int at, int size) {
        return bytes.getInt(at + 4) == checksum(bytes, at + CHECKED_FROM, at + size);
    }

    static String key(ByteBuffer bytes, int at) {
        byte[] key = new byte[Byte.toUnsignedInt(bytes.get(at + 9))];
        bytes.get(at + RECORD_HEADER_BYTES, key);
        return new String(key, StandardCharsets.US_ASCII);
    }

    /** The value of a record that puts one, null of one that strikes its key out. */
    static byte @Nullable [] value(ByteBuffer bytes, int at) {
        if (bytes.get(at + 8) == REMOVE) {
            return null;
        }
        byte[] value = new byte[bytes.getInt(at + 10)];
        bytes.get(at + RECORD_HEADER_BYTES + Byte.toUnsignedInt(bytes.get(at + 9)), value);
        return value;
    }

    private static int checksum(ByteBuffer bytes, int from, int to) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.slice(from, to - from));
        return (int) crc.getValue();
    }
}
