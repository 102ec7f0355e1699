package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.LoopException;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.springframework.core.convert.converter.Converter;
import org.springframework.security.authentication.AbstractAuthenticationToken;
import org.springframework.security.oauth2.jwt.Jwt;

/** Reads who and which role from an identity provider's token, once its signature and times are checked. */
final class SignedTokens implements Converter<Jwt, AbstractAuthenticationToken> {

    /** Of what was made before anybody was configured: no provider's user inherits it. */
    private static final Set<String> RESERVED = Set.of(Caller.ANONYMOUS, FirstToken.OWNER);

    private final AccessProperties.Jwt claims;
    private final Callers callers;

    SignedTokens(AccessProperties.Jwt claims, Callers callers) {
        this.claims = claims;
        this.callers = callers;
    }

    @Override
    public AbstractAuthenticationToken convert(Jwt token) {
        if (!(claim(token, claims.nameClaim()) instanceof String name)) {
            throw refused("The token says no name: " + claims.nameClaim() + " is missing.");
        }
        if (RESERVED.contains(name)) {
            throw refused("The token's " + claims.nameClaim() + " is a name that the agent itself gives.");
        }
        Caller.Role role = texts(claim(token, claims.roleClaim()))
                .flatMap(text -> Roles.parse(text).stream())
                .max(Caller.Role::compareTo)
                .orElseThrow(() -> refused("The token gives no role here: " + claims.roleClaim()
                        + " names none of viewer, user, operator."));
        try {
            return new CallerAuthentication(callers.of(name, role));
        } catch (IllegalArgumentException e) {
            throw refused("The token's " + claims.nameClaim() + " cannot be a name here.");
        }
    }

    private static RefusedException refused(String why) {
        return RefusedException.because(new LoopException.NotPermitted(why));
    }

    /** A claim of that very name, or one inside others. */
    private static @Nullable Object claim(Jwt token, String path) {
        Object whole = token.getClaims().get(path);
        if (whole != null) {
            return whole;
        }
        Object at = token.getClaims();
        for (String part : path.split("\\.", -1)) {
            at = at instanceof Map<?, ?> map ? map.get(part) : null;
        }
        return at;
    }

    private static Stream<String> texts(@Nullable Object claim) {
        if (claim instanceof Collection<?> many) {
            return many.stream().filter(String.class::isInstance).map(String.class::cast);
        }
        return Optional.ofNullable(claim).filter(String.class::isInstance).map(String.class::cast).stream();
    }
}
