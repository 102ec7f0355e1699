package dev.looplease.security;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The credentials that count now. A tokens file is looked at again at most once a second, when somebody asks: a token
 * that was struck out is refused within that time. One that cannot be used leaves the ones before it in place.
 */
final class CredentialStore {

    private static final Logger log = LoggerFactory.getLogger(CredentialStore.class);

    private static final long LOOK_EVERY_NANOS = Duration.ofSeconds(1).toNanos();

    private final TokensFile file;
    private final AtomicLong nextLook = new AtomicLong(System.nanoTime());
    private volatile Credentials current;
    private volatile boolean broken;

    /**
     * @param file which may appear later
     * @param before what counts until it does
     * @throws TokensFileException when the file is there and cannot be used
     */
    CredentialStore(TokensFile file, Credentials before) {
        this.file = file;
        this.current = file.exists() ? file.readIfChanged().orElse(before) : before;
    }

    Optional<Credential> byToken(String token) {
        return current().byToken(token);
    }

    Optional<Credential> byCertificate(String commonName) {
        return current().byCertificate(commonName);
    }

    private Credentials current() {
        long look = nextLook.get();
        long now = System.nanoTime();
        if (now - look >= 0 && nextLook.compareAndSet(look, now + LOOK_EVERY_NANOS)) {
            refresh();
        }
        return current;
    }

    private void refresh() {
        if (!file.exists()) {
            return;
        }
        try {
            file.readIfChanged().ifPresent(read -> {
                if (broken || read.size() != current.size()) {
                    log.info("Read {} credentials from {}", read.size(), file.path());
                }
                current = read;
                broken = false;
            });
        } catch (TokensFileException e) {
            if (!broken) {
                log.error("{} What counted before still counts.", e.getMessage());
            }
            broken = true;
        }
    }
}
