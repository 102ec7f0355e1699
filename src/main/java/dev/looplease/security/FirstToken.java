package dev.looplease.security;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.looplease.loop.Caller;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The token of an agent for which none is configured: one for an operator, made at its first start and kept in plain
 * text where only root can read it.
 */
final class FirstToken {

    private static final Logger log = LoggerFactory.getLogger(FirstToken.class);

    private static final String FILE = "token";
    /** Whose things are what is made with it. */
    static final String OWNER = "operator";

    private static final Set<PosixFilePermission> MODE = PosixFilePermissions.fromString("rw-------");

    private FirstToken() {}

    /** Reads it, or makes it. Whole or not at all: an agent killed on the way leaves no half of a token. */
    static Credential in(Path stateDirectory, Callers callers) throws IOException {
        Path file = stateDirectory.resolve(FILE);
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            Path draft = stateDirectory.resolve(FILE + ".new");
            Files.deleteIfExists(draft);
            try (SeekableByteChannel out = Files.newByteChannel(
                    draft,
                    Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(MODE))) {
                ByteBuffer text = ByteBuffer.wrap((TokenText.next() + "\n").getBytes(US_ASCII));
                while (text.hasRemaining()) {
                    out.write(text);
                }
            }
            Files.move(draft, file, StandardCopyOption.ATOMIC_MOVE);
            log.info("No tokens are configured, so one was made, for an operator: it is in {}", file);
        } else {
            log.info("No tokens are configured, so the one in {} counts, for an operator.", file);
        }
        Set<PosixFilePermission> extra = EnumSet.copyOf(TokensFile.requireOnlyOwnerWrites(file));
        extra.removeAll(MODE);
        if (!extra.isEmpty()) {
            log.warn("{} can be read by others than its owner: chmod 0600.", file);
        }
        String token = Files.readString(file).strip();
        if (!TokenText.isToken(token)) {
            throw new TokensFileException(file, "it holds no token. Delete it, and the next start makes a new one");
        }
        return Credential.ofToken(callers.of(OWNER, Caller.Role.OPERATOR), Sha256.of(token));
    }
}
