package dev.looplease.api;

import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Checks of what JSON can say and Java's collections cannot. */
final class JsonChecks {

    /** Said of an optional text. */
    static final String EMPTY = "must not be empty; leave it out instead";

    private JsonChecks() {}

    static boolean hasNoNulls(@Nullable Map<String, ? extends @Nullable Object> map) {
        return map == null || map.values().stream().allMatch(Objects::nonNull);
    }
}
