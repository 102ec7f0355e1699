package dev.looplease.loop;

import java.time.Duration;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * What an agent lends at most, and for how long.
 *
 * @param maxDevices devices at once, detached ones included
 * @param maxImageBytes the largest image that is made; none when empty
 * @param maxTotalBytes all images that the agent made, sparse ones counted in full; none when empty
 * @param defaultTtl a lease's ttl where its client names none
 * @param minTtl the shortest ttl
 * @param maxTtl the longest ttl
 * @param allowPermanent whether a lease may have no end
 * @param grace how long no lease is reaped after the agent stalled or started
 */
public record Limits(
        int maxDevices,
        OptionalLong maxImageBytes,
        OptionalLong maxTotalBytes,
        Duration defaultTtl,
        Duration minTtl,
        Duration maxTtl,
        boolean allowPermanent,
        Duration grace) {

    public Limits {
        if (maxDevices < 1) {
            throw new IllegalArgumentException("max-devices must be at least 1, not " + maxDevices);
        }
        if (minTtl.compareTo(Duration.ofSeconds(1)) < 0) {
            throw new IllegalArgumentException("lease.min-ttl must be at least 1s, not " + minTtl);
        }
        if (maxTtl.compareTo(minTtl) < 0) {
            throw new IllegalArgumentException("lease.max-ttl " + maxTtl + " is below lease.min-ttl " + minTtl);
        }
        if (maxTtl.compareTo(Duration.ofDays(3650)) > 0) {
            throw new IllegalArgumentException("lease.max-ttl must be at most ten years, not " + maxTtl);
        }
        if (defaultTtl.compareTo(minTtl) < 0 || defaultTtl.compareTo(maxTtl) > 0) {
            throw new IllegalArgumentException(
                    "lease.default-ttl " + defaultTtl + " is not between lease.min-ttl and lease.max-ttl");
        }
        if (grace.isNegative()) {
            throw new IllegalArgumentException("lease.grace must not be negative, not " + grace);
        }
    }

    void checkImageBytes(OptionalLong sizeBytes) {
        if (sizeBytes.isPresent() && maxImageBytes.isPresent() && sizeBytes.getAsLong() > maxImageBytes.getAsLong()) {
            throw new LoopException.Invalid(
                    "sizeBytes",
                    "must be at most " + maxImageBytes.getAsLong() + " (looplease.max-image-size), not "
                            + sizeBytes.getAsLong());
        }
    }

    /** Returns the ttl of a new lease; null for a permanent one. */
    @Nullable
    Duration ttl(LeaseTerms terms) {
        if (!terms.permanent()) {
            return ttl(terms.ttlSeconds(), "ttlSeconds");
        }
        if (!allowPermanent) {
            throw new LoopException.Invalid(
                    "permanent",
                    "is not allowed on this host (looplease.lease.allow-permanent); give ttlSeconds, and renew");
        }
        return null;
    }

    /** Returns the ttl that a client asked for, or the default. */
    Duration ttl(OptionalLong seconds, String field) {
        if (seconds.isEmpty()) {
            return defaultTtl;
        }
        long wanted = seconds.getAsLong();
        if (wanted < minTtl.toSeconds() || wanted > maxTtl.toSeconds()) {
            throw new LoopException.Invalid(
                    field,
                    "must be between " + minTtl.toSeconds() + " and " + maxTtl.toSeconds() + " seconds, not " + wanted);
        }
        return Duration.ofSeconds(wanted);
    }
}
