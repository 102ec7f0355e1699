package dev.looplease.security;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The credentials that count now. A tokens file is looked at again at most once a second, when somebody asks: a token
 * that was struck out is refused within that time. One that cannot be used leaves the ones before it in place; when it is
 * gone nobody is let in, because whoever takes it away means that what was in it counts no more.
 */
final class CredentialStore {

    private static final Logger log = LoggerFactory.getLogger(CredentialStore.class);

    private static final long LOOK_EVERY_NANOS = Duration.ofSeconds(1).toNanos();
    private static final Credentials NOBODY = new Credentials(List.of());

    private final TokensFile file;
    private final AtomicLong nextLook = new AtomicLong(System.nanoTime());
    private volatile Credentials current;
    private volatile @Nullable String complaint;
    /** Whether there has been a file: without one, what was given at the start counts. */
    private boolean seen;

    /**
     * @param file which may appear later
     * @param before what counts until it does
     * @throws TokensFileException when the file is there and cannot be used
     */
    CredentialStore(TokensFile file, Credentials before) {
        this.file = file;
        this.seen = file.exists();
        this.current = seen ? file.readIfChanged().orElse(before) : before;
    }

    Optional<Credential> byToken(String token) {
        return current().byToken(token);
    }

    Optional<Credential> byCertificate(String commonName) {
        return current().byCertificate(commonName);
    }

    /** What is wrong with the file now, and what counts meanwhile. */
    Optional<String> complaint() {
        current();
        return Optional.ofNullable(complaint);
    }

    private Credentials current() {
        long look = nextLook.get();
        long now = System.nanoTime();
        if (now - look >= 0 && nextLook.compareAndSet(look, now + LOOK_EVERY_NANOS)) {
            refresh();
        }
        return current;
    }

    private synchronized void refresh() {
        if (!file.exists()) {
            lose();
            return;
        }
        try {
            file.readIfChanged().ifPresent(this::take);
            seen = true;
        } catch (TokensFileException e) {
            complain(e.getMessage()
                    + (current.size() == 0 ? " Nobody of it is let in." : " What counted before still counts."));
        }
    }

    private void lose() {
        file.forget();
        if (seen) {
            current = NOBODY;
            complain("The tokens file " + file.path() + " is gone. Nobody of it is let in until there is one again.");
        } else {
            complaint = null;
        }
    }

    private void take(Credentials read) {
        if (complaint != null || read.size() != current.size()) {
            log.info("Read {} credentials from {}", read.size(), file.path());
        }
        current = read;
        complaint = null;
    }

    /** Once for each fault, not at each look. */
    private void complain(String fault) {
        if (!fault.equals(complaint)) {
            log.error(fault);
        }
        complaint = fault;
    }
}
