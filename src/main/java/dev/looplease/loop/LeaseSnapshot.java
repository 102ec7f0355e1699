package dev.looplease.loop;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A lease as it was at one moment.
 *
 * @param revision rises with its devices and its state, not with time or renewals
 * @param atNanos when that moment was, by the ticker
 * @param ttl from each renewal; null for a permanent lease
 * @param remaining until it expires; null for a permanent lease, and while its only device is being made
 * @param maxRemaining until it cannot be renewed any more; null when it always can
 */
public record LeaseSnapshot(
        String id,
        long revision,
        String owner,
        Map<String, String> labels,
        State state,
        OnExpiry onExpiry,
        long atNanos,
        @Nullable Duration ttl,
        Instant createTime,
        @Nullable Duration remaining,
        @Nullable Duration maxRemaining,
        List<String> deviceIds) {

    /** Whether it can still be renewed. */
    public enum State {
        ACTIVE,
        RELEASING
    }

    /** The same without what its owner alone should know: labels. */
    LeaseSnapshot redacted() {
        return new LeaseSnapshot(
                id,
                revision,
                owner,
                Map.of(),
                state,
                onExpiry,
                atNanos,
                ttl,
                createTime,
                remaining,
                maxRemaining,
                deviceIds);
    }

    /** A strong entity tag (RFC 9110, 8.8.3). */
    public String etag() {
        return "\"" + id + "." + revision + "\"";
    }
}
