package dev.looplease.journal;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Keeps what could not be read for somebody to look at: files {@code journal.damaged-N} beside the log, the highest N
 * the youngest, at most {@value #MAX_FILES} of them.
 */
final class Quarantine {

    static final int MAX_FILES = 8;
    /** Of what is copied out of a log. A file that is no log at all is renamed, and so kept whole. */
    static final int MAX_BYTES = 1 << 20;

    private final Path log;
    private final Pattern name;

    Quarantine(Path log) {
        this.log = log;
        this.name = Pattern.compile(Pattern.quote(log.getFileName() + ".damaged-") + "([0-9]{1,9})");
    }

    /** Renames the log itself. */
    Path move() throws IOException {
        return Files.move(log, next(), StandardCopyOption.ATOMIC_MOVE);
    }

    /**
     * Copies the stretches, one after the other, into one new file. That it cannot be made or filled, on a full disk
     * say, is told in the reports and keeps nobody from the records that are well.
     */
    List<Damage> copy(FileChannel in, List<LogReader.Stretch> stretches) {
        List<Damage> damage = new ArrayList<>();
        if (stretches.isEmpty()) {
            return damage;
        }
        try {
            Path file = next();
            try (FileChannel out = create(file)) {
                for (LogReader.Stretch stretch : stretches) {
                    boolean room = out.position() < MAX_BYTES;
                    long end = stretch.offset() + Math.min(stretch.lengthBytes(), MAX_BYTES - out.position());
                    for (long at = stretch.offset(); at < end; ) {
                        at += in.transferTo(at, end - at, out);
                    }
                    damage.add(damage(stretch, "", room ? file : null));
                }
            }
        } catch (IOException e) {
            for (LogReader.Stretch stretch : stretches.subList(damage.size(), stretches.size())) {
                damage.add(damage(stretch, "; it could not be set aside: " + e, null));
            }
        }
        return damage;
    }

    private static Damage damage(LogReader.Stretch stretch, String note, @Nullable Path setAside) {
        return new Damage(stretch.offset(), stretch.lengthBytes(), stretch.reason() + note, setAside);
    }

    private static FileChannel create(Path file) throws IOException {
        return FileChannel.open(
                file,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    }

    /** A new name, for which the oldest files have made room. */
    private Path next() throws IOException {
        List<Integer> numbers;
        try (Stream<Path> siblings = Files.list(log.toAbsolutePath().getParent())) {
            numbers = siblings.map(sibling -> name.matcher(sibling.getFileName().toString()))
                    .filter(Matcher::matches)
                    .map(match -> Integer.valueOf(match.group(1)))
                    .sorted()
                    .toList();
        }
        for (int number : numbers.subList(0, Math.max(0, numbers.size() - MAX_FILES + 1))) {
            Files.deleteIfExists(path(number));
        }
        return path(numbers.isEmpty() ? 1 : numbers.getLast() + 1);
    }

    private Path path(int number) {
        return log.resolveSibling(log.getFileName() + ".damaged-" + number);
    }
}
