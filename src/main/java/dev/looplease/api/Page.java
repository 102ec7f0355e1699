package dev.looplease.api;

import dev.looplease.loop.LoopException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A part of a list. The token is the key of the last item, so that a page goes on at the right place whatever came or
 * went meanwhile.
 */
record Page<T>(List<T> items, @Nullable String nextPageToken) {

    static final int DEFAULT_SIZE = 100;
    static final int LARGEST_SIZE = 10_000;

    /**
     * How a list is sorted.
     *
     * @param grammar what every key looks like: so that a token of another list, or of nobody's, is refused
     */
    record Order<S>(Function<S, String> key, Pattern grammar) {}

    /**
     * Cuts a page out of a list that is sorted by {@code order}.
     *
     * @param pageToken where the last page ended; null for the first
     */
    static <S, T> Page<T> of(
            List<S> all, Order<S> order, int pageSize, @Nullable String pageToken, Function<S, T> view) {
        Function<S, String> key = order.key();
        checkSize(pageSize);
        int from = 0;
        if (pageToken != null) {
            String last = decode(pageToken, order.grammar());
            while (from < all.size() && key.apply(all.get(from)).compareTo(last) <= 0) {
                from++;
            }
        }
        int to = Math.min(all.size(), from + pageSize);
        List<T> items = all.subList(from, to).stream().map(view).toList();
        return new Page<>(items, to < all.size() ? encode(key.apply(all.get(to - 1))) : null);
    }

    static void checkSize(int pageSize) {
        if (pageSize < 1 || pageSize > LARGEST_SIZE) {
            throw new LoopException.Invalid("pageSize", "must be between 1 and " + LARGEST_SIZE + ", not " + pageSize);
        }
    }

    static String encode(String key) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(key.getBytes(StandardCharsets.UTF_8));
    }

    static String decode(String token, Pattern grammar) {
        try {
            String key = new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8);
            if (grammar.matcher(key).matches()) {
                return key;
            }
        } catch (IllegalArgumentException e) {
            // No Base64: as wrong as any other text.
        }
        throw new LoopException.Invalid("pageToken", "must be a nextPageToken of this list");
    }
}
