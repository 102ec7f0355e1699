package dev.looplease.security;

import java.security.SecureRandom;
import java.util.Base64;
import java.util.regex.Pattern;

/** What a token looks like: 256 random bits behind a prefix by which people and secret scanners know it. */
final class TokenText {

    static final String PREFIX = "looplease_";

    private static final int BITS = 256;
    private static final Pattern FORM = Pattern.compile(PREFIX + "[A-Za-z0-9_-]{43}");
    private static final SecureRandom RANDOM = new SecureRandom();

    private TokenText() {}

    static String next() {
        byte[] bytes = new byte[BITS / 8];
        RANDOM.nextBytes(bytes);
        return PREFIX + Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    static boolean isToken(String text) {
        return FORM.matcher(text).matches();
    }
}
