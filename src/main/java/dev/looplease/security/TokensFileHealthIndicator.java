package dev.looplease.security;

import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.stereotype.Component;

/** Warns while the tokens file cannot be used or is gone: the agent serves on, but not whom its operator thinks. */
@Component("tokensFile")
class TokensFileHealthIndicator implements HealthIndicator {

    private final CredentialStore credentials;

    TokensFileHealthIndicator(CredentialStore credentials) {
        this.credentials = credentials;
    }

    @Override
    public Health health() {
        return Health.up()
                .withDetail("warnings", credentials.complaint().stream().toList())
                .build();
    }
}
