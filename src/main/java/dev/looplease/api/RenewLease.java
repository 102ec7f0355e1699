package dev.looplease.api;

import io.swagger.v3.oas.annotations.media.Schema;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The body of {@code POST /leases/{id}/renew}; the body itself may be left out. */
@Schema(
        description = "How long the lease is to live from now; its present ttl when left out.",
        example = "{\"ttlSeconds\": 3600}")
record RenewLease(
        @Schema(
                description = "The lease's ttl from now on, in seconds, within the host's limits (GET /host tells).",
                minimum = "1",
                example = "3600")
        @Nullable
        Long ttlSeconds) {

    OptionalLong ttl() {
        return ttlSeconds == null ? OptionalLong.empty() : OptionalLong.of(ttlSeconds);
    }
}
