package dev.looplease.loop;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A lease as the journal keeps it: plain JSON types.
 *
 * @param createTime milliseconds since 1970
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
        long ttlSeconds,
        @Nullable Long maxTtlSeconds,
        boolean ofDevice,
        boolean started,
        long deadline,
        long lastDeadline,
        String bootId,
        long expireTime,
        @Nullable EndReason claimed,
        @Nullable RequestKey key) {}
