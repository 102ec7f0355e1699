package dev.looplease.security;

import dev.looplease.loop.Caller;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Something that says who asks.
 *
 * @param token the hash of a token; empty for a certificate
 * @param certificate the common name of a client certificate; empty for a token
 * @param expireTime null for never
 */
record Credential(
        Caller caller,
        Optional<Sha256> token,
        Optional<String> certificate,
        @Nullable Instant expireTime) {

    Credential {
        if (token.isPresent() == certificate.isPresent()) {
            throw new IllegalArgumentException(
                    "needs sha256 (of a token) or certificate (a common name), one of the two");
        }
    }

    static Credential ofToken(Caller caller, Sha256 hash) {
        return new Credential(caller, Optional.of(hash), Optional.empty(), null);
    }

    boolean hasExpired(Instant now) {
        return expireTime != null && !now.isBefore(expireTime);
    }
}
