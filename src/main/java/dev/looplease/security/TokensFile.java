package dev.looplease.security;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Clock;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The tokens file on the disk: whether there is one, whether it is another than before, and what is in it. */
final class TokensFile {

    private static final Logger log = LoggerFactory.getLogger(TokensFile.class);

    /** Written so short a time ago, it may be written again within one tick of the filesystem's clock. */
    private static final Duration FRESH = Duration.ofSeconds(2);

    private static final Integer ROOT = 0;

    /** As whom this process works with files. */
    private static final Path SELF = Path.of("/proc/self");

    private final Path path;
    private final TokensYaml yaml;
    private final Clock clock;
    private @Nullable Version last;

    /** What changes when the file does. */
    private record Version(Object file, FileTime modified, FileTime changed, long size) {}

    TokensFile(Path path, TokensYaml yaml, Clock clock) {
        this.path = path;
        this.yaml = yaml;
        this.clock = clock;
    }

    Path path() {
        return path;
    }

    /** Whether it is there, or perhaps so: what cannot be looked at is complained of when it is read. */
    boolean exists() {
        return !Files.notExists(path);
    }

    /** It is gone: whatever comes in its place is read, were it the same file. */
    synchronized void forget() {
        last = null;
    }

    /**
     * Reads it.
     *
     * @return empty when it is the one that was read last
     * @throws TokensFileException when it cannot be used
     */
    synchronized Optional<Credentials> readIfChanged() {
        try {
            Map<String, Object> attributes = Files.readAttributes(path, "unix:ino,dev,lastModifiedTime,ctime,size");
            Version now = new Version(
                    attributes.get("dev") + ":" + attributes.get("ino"),
                    (FileTime) Objects.requireNonNull(attributes.get("lastModifiedTime")),
                    (FileTime) Objects.requireNonNull(attributes.get("ctime")),
                    (Long) Objects.requireNonNull(attributes.get("size")));
            if (now.equals(last)) {
                return Optional.empty();
            }
            // A broken one is complained of once, not at each look.
            last = now.modified().toInstant().isBefore(clock.instant().minus(FRESH)) ? now : null;
            if (requireOnlyOwnerWrites(path).contains(PosixFilePermission.OTHERS_READ)) {
                log.warn("The tokens file {} can be read by everybody on this host: chmod 0600.", path);
            }
            return Optional.of(yaml.parse(Files.readString(path)));
        } catch (IOException e) {
            last = null;
            throw new TokensFileException(
                    path, "it cannot be read (" + e.getClass().getSimpleName() + ")");
        } catch (IllegalArgumentException e) {
            throw new TokensFileException(path, String.valueOf(e.getMessage()));
        }
    }

    /**
     * Refuses a file that somebody else may write, and so become an operator: root's or the agent's own it must be, and
     * nobody's but its owner's to change.
     *
     * @return its permissions
     */
    static Set<PosixFilePermission> requireOnlyOwnerWrites(Path file) throws IOException {
        Object owner = Files.getAttribute(file, "unix:uid");
        if (!owner.equals(ROOT) && !owner.equals(Files.getAttribute(SELF, "unix:uid"))) {
            throw new TokensFileException(file, "it is another user's, who could become an operator: chown root");
        }
        Set<PosixFilePermission> mode = Files.getPosixFilePermissions(file);
        if (mode.contains(PosixFilePermission.GROUP_WRITE) || mode.contains(PosixFilePermission.OTHERS_WRITE)) {
            throw new TokensFileException(
                    file, "others than its owner may write it, and so become an operator: chmod 0600");
        }
        return mode;
    }
}
