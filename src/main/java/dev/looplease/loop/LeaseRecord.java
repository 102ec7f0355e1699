package dev.looplease.loop;

import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A lease as the journal keeps it: plain JSON types.
 *
 * @param createTime milliseconds since 1970
 * @param ttlSeconds null for a permanent lease
 * @param maxTtlSeconds null for none
 * @param ofDevice whether it ends with its last device
 * @param started whether its client may know of it
 * @param deadline by CLOCK_BOOTTIME, in nanoseconds
 * @param lastDeadline the same; {@link Lease#NEVER} for none
 * @param bootId which run of the kernel these two belong to
 * @param expireTime the deadline by the wall clock, milliseconds since 1970: all that means anything after a reboot
 * @param claimed why it is ending; null while it lives
 */
record LeaseRecord(
        String id,
        String owner,
        Map<String, String> labels,
        OnExpiry onExpiry,
        long createTime,
        @Nullable Long ttlSeconds,
        @Nullable Long maxTtlSeconds,
        boolean ofDevice,
        boolean started,
        long deadline,
        long lastDeadline,
        String bootId,
        long expireTime,
        @Nullable EndReason claimed,
        @Nullable RequestKey key) {

    /**
     * Makes sure that a record that was read means something.
     *
     * @throws NullPointerException where something is missing
     * @throws IllegalArgumentException where something cannot be
     */
    LeaseRecord checked(String expectedId) {
        Stream.of(owner, labels, onExpiry, bootId).forEach(Objects::requireNonNull);
        if (!id.equals(expectedId)) {
            throw new IllegalArgumentException("it is the record of " + id);
        }
        if ((ttlSeconds != null && !isLife(ttlSeconds)) || (maxTtlSeconds != null && !isLife(maxTtlSeconds))) {
            throw new IllegalArgumentException("no lease lives so long: " + ttlSeconds + " s, " + maxTtlSeconds + " s");
        }
        return this;
    }

    private static boolean isLife(long seconds) {
        return seconds > 0 && seconds <= LeaseTerms.LONGEST_LIFE_SECONDS;
    }
}
