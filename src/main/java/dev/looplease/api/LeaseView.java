package dev.looplease.api;

import dev.looplease.loop.LeaseSnapshot;
import dev.looplease.loop.OnExpiry;
import dev.looplease.loop.WallClock;
import io.swagger.v3.oas.annotations.media.Schema;
import java.math.BigDecimal;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A lease, as clients see it. */
@Schema(name = "Lease", description = "A promise to keep devices until a moment. Renew it to prolong it.")
record LeaseView(
        @Schema(example = "w7f0c2n4s8y1t5b9") String id,

        @Schema(description = "The name of the credential that it was made with.", example = "ci")
        String owner,

        @Schema(description = "Empty where a user looks at what is not theirs.", example = "{}")
        Map<String, String> labels,

        @Schema(
                description = "ACTIVE, or RELEASING: it has ended, and some of its devices are on their way out.",
                example = "ACTIVE")
        LeaseSnapshot.State state,

        @Schema(description = "How long it lives from each renewal; null for a permanent lease.", example = "600")
        @Nullable
        Long ttlSeconds,

        Instant createTime,

        @Schema(
                description =
                        "When it ends if it is not renewed, by the host's wall clock; null for a permanent lease.")
        @Nullable
        Instant expireTime,

        @Schema(
                description =
                        "The same as a duration from now, which no wall clock can move; null for a permanent lease.",
                example = "600")
        @Nullable
        Long expiresInSeconds,

        @Schema(
                description =
                        "When to renew it, counted from its last renewal: a third of its ttl, so that two may fail, or of what is left before maxExpireTime; null for a permanent lease.",
                example = "200")
        @Nullable
        BigDecimal renewAfterSeconds,

        @Schema(description = "When it ends however often it is renewed; null when never.") @Nullable
        Instant maxExpireTime,

        @Schema(description = "What is done when it ends and somebody still uses a device.", example = "UNMOUNT")
        OnExpiry onExpiry,

        @Schema(description = "The devices that end with it.", example = "[\"k3v9x0q2m7adp1c8\"]")
        List<String> deviceIds) {

    static LeaseView of(LeaseSnapshot lease, WallClock clock) {
        @Nullable Duration ttl = lease.ttl();
        @Nullable Duration remaining = lease.remaining() == null ? ttl : lease.remaining();
        Duration maxRemaining = lease.maxRemaining();
        return new LeaseView(
                lease.id(),
                lease.owner(),
                lease.labels(),
                lease.state(),
                ttl == null ? null : ttl.toSeconds(),
                lease.createTime(),
                remaining == null ? null : after(lease, remaining, clock),
                remaining == null ? null : ceilSeconds(remaining),
                ttl == null || remaining == null ? null : renewAfter(ttl, remaining, maxRemaining),
                maxRemaining == null ? null : after(lease, maxRemaining, clock),
                lease.onExpiry(),
                lease.deviceIds());
    }

    private static Instant after(LeaseSnapshot lease, Duration duration, WallClock clock) {
        return clock.at(lease.atNanos() + duration.toNanos());
    }

    /** A lease that lives has at least a second, even where its last fraction runs. */
    private static long ceilSeconds(Duration duration) {
        return duration.plusNanos(999_999_999).toSeconds();
    }

    /**
     * A third of the ttl, or of what is left where no renewal can add to it. Whole seconds from 3 on; a fraction below,
     * where 0 would mean without pause and 1 too late.
     */
    private static BigDecimal renewAfter(Duration ttl, Duration remaining, @Nullable Duration maxRemaining) {
        boolean capped = maxRemaining != null && remaining.compareTo(maxRemaining) >= 0;
        Duration life = capped && remaining.compareTo(ttl) < 0 ? remaining : ttl;
        return life.toSeconds() >= 3
                ? BigDecimal.valueOf(life.toSeconds() / 3)
                : BigDecimal.valueOf(Math.max(1, life.toMillis() / 3), 3);
    }
}
