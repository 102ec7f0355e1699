package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.util.unit.DataSize;

/**
 * The settings under {@code looplease.*} that say who may do what.
 *
 * @param auth whether anybody is asked for a token
 * @param tokensFile the tokens that are known; {@code tokens.yaml} in the state directory by default
 * @param othersVisible what a user sees of others' things
 * @param quota of every credential that has none of its own
 */
@ConfigurationProperties("looplease")
record AccessProperties(
        @DefaultValue("token") Auth auth,
        @Nullable Path tokensFile,
        @DefaultValue("redacted") OthersVisible othersVisible,
        @DefaultValue QuotaDefaults quota,
        @DefaultValue Jwt jwt) {

    /** Whether anybody is asked for a token. */
    enum Auth {
        TOKEN,
        NONE
    }

    /** What a user sees of others' things. */
    enum OthersVisible {
        REDACTED,
        HIDDEN;

        Caller.Sight sight() {
            return this == HIDDEN ? Caller.Sight.HIDDEN : Caller.Sight.REDACTED;
        }
    }

    /** {@code looplease.quota.*}; what is missing is not limited. */
    record QuotaDefaults(
            @Nullable Integer devices,
            @Nullable DataSize bytes,
            @Nullable Integer leases,
            @Nullable Integer requestsPerSecond) {

        Quota toQuota() {
            return new Quota(
                    optional(devices),
                    bytes == null ? OptionalLong.empty() : OptionalLong.of(bytes.toBytes()),
                    optional(leases),
                    optional(requestsPerSecond));
        }

        private static OptionalInt optional(@Nullable Integer value) {
            return value == null ? OptionalInt.empty() : OptionalInt.of(value);
        }
    }

    /**
     * {@code looplease.jwt.*}: how a token of an identity provider is read. Which provider that is, and where its keys
     * are, are Spring's own settings.
     *
     * @param nameClaim where it says who
     * @param roleClaim where it says {@code viewer}, {@code user} or {@code operator}: a text or a list with one of them,
     *     inside others where there are dots ({@code realm_access.roles})
     */
    record Jwt(
            @DefaultValue("sub") String nameClaim,
            @DefaultValue("looplease_role") String roleClaim) {}
}
