package dev.looplease.security;

import dev.looplease.loop.LoopException;
import jakarta.servlet.http.HttpServletRequest;
import java.time.Clock;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.core.NestedExceptionUtils;
import org.springframework.http.HttpHeaders;
import org.springframework.security.authentication.AuthenticationManager;
import org.springframework.security.authentication.AuthenticationServiceException;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.AuthenticationException;
import org.springframework.security.oauth2.jwt.JwtDecoderInitializationException;
import org.springframework.security.oauth2.server.resource.authentication.BearerTokenAuthenticationToken;
import org.springframework.security.web.authentication.AuthenticationConverter;

/** Tells from the token in a request who sends it: one that the agent knows, or one that an identity provider signed. */
final class BearerTokens implements AuthenticationManager, AuthenticationConverter {

    private static final Logger log = LoggerFactory.getLogger(BearerTokens.class);

    private static final String SCHEME = "Bearer ";

    private final CredentialStore credentials;
    private final Optional<AuthenticationManager> provider;
    private final Clock clock;

    /** @param provider checks signed tokens (JWT); empty where no identity provider is configured */
    BearerTokens(CredentialStore credentials, Optional<AuthenticationManager> provider, Clock clock) {
        this.credentials = credentials;
        this.provider = provider;
        this.clock = clock;
    }

    /** From the header alone: a token in a URL or a form ends in logs and histories. */
    @Override
    public @Nullable Authentication convert(HttpServletRequest request) {
        String header = request.getHeader(HttpHeaders.AUTHORIZATION);
        if (header == null || !header.regionMatches(true, 0, SCHEME, 0, SCHEME.length())) {
            return null;
        }
        String token = header.substring(SCHEME.length()).strip();
        return token.isEmpty() ? null : new BearerTokenAuthenticationToken(token);
    }

    @Override
    public Authentication authenticate(Authentication presented) {
        String token = ((BearerTokenAuthenticationToken) presented).getToken();
        Optional<Credential> known = credentials.byToken(token);
        if (known.isPresent()) {
            return accept(known.get(), clock);
        }
        if (provider.isPresent() && isSigned(token)) {
            return ask(provider.get(), presented);
        }
        throw RefusedException.unknown();
    }

    private static Authentication ask(AuthenticationManager provider, Authentication presented) {
        try {
            return Objects.requireNonNull(provider.authenticate(presented));
        } catch (RefusedException e) {
            throw e;
        } catch (AuthenticationServiceException | JwtDecoderInitializationException e) {
            log.warn(
                    "A signed token could not be checked: {}",
                    NestedExceptionUtils.getMostSpecificCause(e).toString());
            throw RefusedException.because(new LoopException.ProviderUnavailable());
        } catch (AuthenticationException e) {
            throw RefusedException.unknown();
        }
    }

    static CallerAuthentication accept(Credential credential, Clock clock) {
        if (credential.hasExpired(clock.instant())) {
            throw RefusedException.expired(credential.caller());
        }
        return new CallerAuthentication(credential.caller());
    }

    /** Three parts with dots between them (RFC 7515, 7.1). */
    private static boolean isSigned(String token) {
        return token.chars().filter(c -> c == '.').count() == 2;
    }
}
