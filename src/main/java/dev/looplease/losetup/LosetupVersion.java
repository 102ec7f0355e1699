package dev.looplease.losetup;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Of the program {@code losetup}, and so whether it is there. Each look is a process, and is good for a while. */
final class LosetupVersion {

    private static final Logger LOG = LoggerFactory.getLogger(LosetupVersion.class);

    private static final Duration GOOD = Duration.ofSeconds(10);

    private static final Pattern VERSION = Pattern.compile("util-linux\\S* (\\d+(?:\\.\\d+)+(?:-\\w+)?)");

    private record Look(Optional<String> version, long nanos) {}

    private final CommandRunner losetup;
    private final LongSupplier nanos;
    private @Nullable Look last;

    LosetupVersion(CommandRunner losetup, LongSupplier nanos) {
        this.losetup = losetup;
        this.nanos = nanos;
    }

    /** Such as {@code 2.38.1}; empty where there is no losetup, or not util-linux's. */
    synchronized Optional<String> get() {
        Look look = last;
        if (look == null || nanos.getAsLong() - look.nanos() >= GOOD.toNanos()) {
            look = new Look(ask(), nanos.getAsLong());
            last = look;
        }
        return look.version();
    }

    private Optional<String> ask() {
        try {
            return in(losetup.run(List.of("--version")).out());
        } catch (IOException e) {
            LOG.debug("losetup cannot be run", e);
            return Optional.empty();
        }
    }

    static Optional<String> in(String output) {
        Matcher match = VERSION.matcher(output);
        return match.find() ? Optional.of(match.group(1)) : Optional.empty();
    }
}
