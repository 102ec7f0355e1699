package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.LoopException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.springframework.security.core.AuthenticationException;

/** Why somebody does not come in. */
final class RefusedException extends AuthenticationException {

    private static final long serialVersionUID = 1L;

    private final LoopException reason;
    private final boolean guess;
    private final transient @Nullable Caller known;

    private RefusedException(LoopException reason, boolean guess, @Nullable Caller known) {
        super(String.valueOf(reason.getMessage()));
        this.reason = reason;
        this.guess = guess;
        this.known = known;
    }

    /** What was presented is nothing that the agent ever gave to anybody. */
    static RefusedException unknown() {
        return new RefusedException(new LoopException.Unauthenticated("The token is not valid."), true, null);
    }

    static RefusedException expired(Caller whose) {
        return new RefusedException(
                new LoopException.Unauthenticated("The token, or the certificate, has expired."), false, whose);
    }

    static RefusedException because(LoopException reason) {
        return new RefusedException(reason, false, null);
    }

    LoopException reason() {
        return reason;
    }

    /** Who it was, where that is known all the same. */
    Optional<Caller> known() {
        return Optional.ofNullable(known);
    }

    /** Whether somebody may be trying out tokens. */
    boolean isGuess() {
        return guess;
    }
}
