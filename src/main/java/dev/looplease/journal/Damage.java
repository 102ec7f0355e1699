package dev.looplease.journal;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A part of the log that could not be read, or a whole file that is no log.
 *
 * @param offset where in the file it begins, in bytes
 * @param lengthBytes how long it is
 * @param reason what was wrong with it, for people
 * @param setAside the file that now holds its bytes, all or the first of them; null where they were not kept
 */
public record Damage(
        long offset,
        long lengthBytes,
        String reason,
        @Nullable Path setAside) {

    public Damage {
        if (offset < 0 || lengthBytes < 0) {
            throw new IllegalArgumentException("offset and lengthBytes must not be negative");
        }
    }
}
