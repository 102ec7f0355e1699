package dev.looplease.security;

import dev.looplease.loop.Caller;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/** Roles as people write them: {@code viewer}, {@code user}, {@code operator}. */
final class Roles {

    private Roles() {}

    static Optional<Caller.Role> parse(String text) {
        return Stream.of(Caller.Role.values())
                .filter(role -> text(role).equals(text))
                .findFirst();
    }

    static String text(Caller.Role role) {
        return role.name().toLowerCase(Locale.ROOT);
    }
}
