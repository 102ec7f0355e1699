package dev.looplease.api;

import dev.looplease.loop.LoopException;
import dev.looplease.loop.RequestKey;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;
import org.springframework.stereotype.Component;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). Two requests are the same when they mean the same:
 * their parsed contents are compared, not their white space.
 */
@Component
class IdempotencyKeys {

    static final String HEADER = "Idempotency-Key";
    static final String DESCRIPTION =
            "1 to 255 printable ASCII characters without spaces, of your own: the same request with the same key makes nothing twice, for as long as the id of what it made is known.";

    private static final int LONGEST = 255;

    private final JsonMapper json;

    IdempotencyKeys(JsonMapper json) {
        // The order of labels means nothing.
        this.json = json.rebuild()
                .enable(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS)
                .build();
    }

    @Nullable
    RequestKey parse(@Nullable String key, String path, Object body) {
        if (key == null) {
            return null;
        }
        boolean printable = key.chars().allMatch(c -> c > ' ' && c <= '~');
        if (key.isEmpty() || key.length() > LONGEST || !printable) {
            throw new LoopException.Invalid(HEADER, "must be 1 to 255 printable ASCII characters without spaces");
        }
        return new RequestKey(key, fingerprint(path, body));
    }

    private String fingerprint(String path, Object body) {
        try {
            MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
            sha256.update(json.writeValueAsBytes(path));
            return HexFormat.of().formatHex(sha256.digest(json.writeValueAsBytes(body)));
        } catch (NoSuchAlgorithmException e) {
            // Every Java platform has SHA-256: MessageDigest's own documentation.
            throw new IllegalStateException(e);
        }
    }
}
