package dev.looplease.loop;

import java.security.SecureRandom;

/** Names of devices and leases: 16 random characters of {@code [a-z0-9]}, 82 bits, so that none is ever met again. */
final class Ids {

    static final int LENGTH = 16;

    private static final String ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";
    private static final SecureRandom RANDOM = new SecureRandom();

    private Ids() {}

    static String next() {
        char[] id = new char[LENGTH];
        for (int i = 0; i < LENGTH; i++) {
            id[i] = ALPHABET.charAt(RANDOM.nextInt(ALPHABET.length()));
        }
        return new String(id);
    }
}
