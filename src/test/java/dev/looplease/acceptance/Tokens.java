package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Some people with tokens, and the file that knows them. */
final class Tokens {

    static final String OPERATOR = token("operator");
    static final String ALICE = token("alice");
    static final String BOB = token("bob");
    static final String VIEWER = token("viewer");
    static final String EXPIRED = token("expired");
    static final String UNKNOWN = token("unknown");

    private Tokens() {}

    /** Of the right form; nothing random is needed here. */
    static String token(String name) {
        return "looplease_" + (name + "-").repeat(43).substring(0, 43);
    }

    static String entry(String name, String role, String token, String... more) {
        StringBuilder entry =
                new StringBuilder("- name: %s\n  role: %s\n  sha256: %s\n".formatted(name, role, sha256(token)));
        for (String line : more) {
            entry.append("  ").append(line).append('\n');
        }
        return entry.toString();
    }

    static String sha256(String token) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(token.getBytes(UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Everybody of above, and whoever is added. */
    static Path write(Path directory, String... more) {
        String text = "tokens:\n"
                + entry("root", "operator", OPERATOR)
                + entry("alice", "user", ALICE)
                + entry("bob", "user", BOB)
                + entry("monitor", "viewer", VIEWER)
                + entry("ghost", "operator", EXPIRED, "expires: 2026-01-01T00:00:00Z")
                + String.join("", more);
        try {
            Path file = directory.resolve("tokens.yaml");
            Files.writeString(file, text);
            return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
