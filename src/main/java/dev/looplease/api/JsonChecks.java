package dev.looplease.api;

import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Checks of what JSON can say and Java's collections cannot. */
final class JsonChecks {

    private JsonChecks() {}

    static boolean hasNoNulls(@Nullable Map<String, ? extends @Nullable Object> map) {
        return map == null || map.values().stream().allMatch(Objects::nonNull);
    }
}
