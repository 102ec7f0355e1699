package dev.looplease.security;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What is known at one moment. */
final class Credentials {

    private final Map<Long, Credential> tokens = new HashMap<>();
    private final Map<String, Credential> certificates = new HashMap<>();

    /** @throws IllegalArgumentException where two are the same */
    Credentials(List<Credential> all) {
        for (Credential credential : all) {
            Credential twin = credential
                    .token()
                    .map(hash -> tokens.put(hash.bucket(), credential))
                    .or(() -> credential.certificate().map(name -> certificates.put(name, credential)))
                    .orElse(null);
            if (twin != null) {
                throw new IllegalArgumentException(
                        "the token or certificate of " + credential.caller().name()
                                + " is there twice, the other time for "
                                + twin.caller().name());
            }
        }
    }

    /** Found by its hash, which nobody can choose: how long that takes tells nothing of a token. */
    Optional<Credential> byToken(String token) {
        Sha256 hash = Sha256.of(token);
        return Optional.ofNullable(tokens.get(hash.bucket()))
                .filter(found -> found.token().filter(hash::equals).isPresent());
    }

    Optional<Credential> byCertificate(String commonName) {
        return Optional.ofNullable(certificates.get(commonName));
    }

    int size() {
        return tokens.size() + certificates.size();
    }
}
