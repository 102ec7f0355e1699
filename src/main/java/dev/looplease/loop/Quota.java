package dev.looplease.loop;

import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * How much one owner may have at once; what is empty is not limited.
 *
 * @param devices detached ones and those on their way out included
 * @param bytes of all images that the agent made for it, sparse ones counted in full
 * @param leases those of single devices included
 * @param requestsPerSecond on average; as many may come at once
 */
public record Quota(OptionalInt devices, OptionalLong bytes, OptionalInt leases, OptionalInt requestsPerSecond) {

    /** No limits. */
    public static final Quota NONE =
            new Quota(OptionalInt.empty(), OptionalLong.empty(), OptionalInt.empty(), OptionalInt.empty());

    public Quota {
        if (devices.orElse(0) < 0 || bytes.orElse(0) < 0 || leases.orElse(0) < 0) {
            throw new IllegalArgumentException("quota: must not be negative");
        }
        if (requestsPerSecond.orElse(1) < 1) {
            throw new IllegalArgumentException("quota: requests-per-second must be at least 1");
        }
    }
}
