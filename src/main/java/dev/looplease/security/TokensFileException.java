package dev.looplease.security;

import java.nio.file.Path;

/** A tokens file that cannot be used. Names the file and the place, and never a hash. */
public final class TokensFileException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    TokensFileException(Path file, String why) {
        super("The tokens file " + file + " cannot be used: " + why);
    }
}
