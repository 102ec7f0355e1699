package dev.looplease.api;

import dev.looplease.loop.Slice;
import java.util.Locale;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Places in the list of devices, as page tokens. */
final class DevicePlaces {

    private static final Pattern GRAMMAR = Pattern.compile("a[0-9]{7}|d[0-9a-z]+");

    private DevicePlaces() {}

    /** Where the page goes on; null is the beginning. */
    static Slice.Place parse(@Nullable String token) {
        if (token == null) {
            return Slice.Place.START;
        }
        String key = Page.decode(token, GRAMMAR);
        return key.startsWith("a")
                ? Slice.Place.at(Integer.parseInt(key.substring(1)))
                : Slice.Place.at(key.substring(1));
    }

    static @Nullable String token(Slice.@Nullable Place place) {
        if (place == null) {
            return null;
        }
        return Page.encode(place.isDetached() ? "d" + place.id() : String.format(Locale.ROOT, "a%07d", place.number()));
    }
}
