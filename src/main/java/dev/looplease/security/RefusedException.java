package dev.looplease.security;

import dev.looplease.loop.LoopException;
import org.springframework.security.core.AuthenticationException;

/** Why somebody does not come in. */
final class RefusedException extends AuthenticationException {

    private static final long serialVersionUID = 1L;

    private final LoopException reason;
    private final boolean guess;

    private RefusedException(LoopException reason, boolean guess) {
        super(String.valueOf(reason.getMessage()));
        this.reason = reason;
        this.guess = guess;
    }

    /** What was presented is nothing that the agent ever gave to anybody. */
    static RefusedException unknown() {
        return new RefusedException(new LoopException.Unauthenticated("The token is not valid."), true);
    }

    static RefusedException expired() {
        return new RefusedException(
                new LoopException.Unauthenticated("The token, or the certificate, has expired."), false);
    }

    static RefusedException because(LoopException reason) {
        return new RefusedException(reason, false);
    }

    LoopException reason() {
        return reason;
    }

    /** Whether somebody may be trying out tokens. */
    boolean isGuess() {
        return guess;
    }
}
