package dev.looplease.loop;

import java.util.Map;
import java.util.OptionalLong;

/**
 * How long somebody wants to keep something.
 *
 * @param ttlSeconds from now and from each renewal; the configured default when empty
 * @param maxTtlSeconds the whole life, however often it is renewed; no end when empty
 * @param permanent it has no ttl at all, and ends only when somebody ends it
 */
public record LeaseTerms(
        OptionalLong ttlSeconds,
        OptionalLong maxTtlSeconds,
        boolean permanent,
        OnExpiry onExpiry,
        Map<String, String> labels) {

    /** Ten years: what is meant to stay longer is no lease. */
    static final long LONGEST_LIFE_SECONDS = 10L * 365 * 24 * 3600;

    public LeaseTerms {
        labels = Map.copyOf(labels);
        Violations violations = new Violations();
        Labels.check(labels, violations);
        violations.require(
                maxTtlSeconds.isEmpty()
                        || (maxTtlSeconds.getAsLong() > 0 && maxTtlSeconds.getAsLong() <= LONGEST_LIFE_SECONDS),
                "maxTtlSeconds",
                "must be between 1 and " + LONGEST_LIFE_SECONDS);
        violations
                .require(!permanent || ttlSeconds.isEmpty(), "ttlSeconds", "must be left out of a permanent lease")
                .require(
                        !permanent || maxTtlSeconds.isEmpty(), "maxTtlSeconds", "must be left out of a permanent lease")
                .throwIfAny();
    }
}
