package dev.looplease.security;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/**
 * How tokens are kept. A token is 256 random bits: nobody finds it by trying, so that a slow hash, as passwords need
 * one, would protect nothing and cost every request milliseconds.
 */
final class Sha256 {

    private static final int BYTES = 32;

    private final byte[] hash;

    private Sha256(byte[] hash) {
        this.hash = hash;
    }

    static Sha256 of(String token) {
        try {
            return new Sha256(MessageDigest.getInstance("SHA-256").digest(token.getBytes(UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            // Every Java platform has SHA-256: MessageDigest's own documentation.
            throw new IllegalStateException(e);
        }
    }

    /** @throws IllegalArgumentException where it is no such hash */
    static Sha256 parse(String hex) {
        if (hex.length() != 2 * BYTES) {
            throw new IllegalArgumentException("must be 64 hexadecimal digits");
        }
        return new Sha256(HexFormat.of().parseHex(hex));
    }

    /** Where to look for it. That it is the same is what {@link #equals} tells. */
    long bucket() {
        return ByteBuffer.wrap(hash).getLong();
    }

    String hex() {
        return HexFormat.of().formatHex(hash);
    }

    /** In a time that does not depend on where they differ. */
    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Sha256 that && MessageDigest.isEqual(hash, that.hash);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(hash);
    }
}
