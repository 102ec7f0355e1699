package dev.looplease.security;

import dev.looplease.loop.LoopException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import org.springframework.security.core.AuthenticationException;
import org.springframework.security.web.AuthenticationEntryPoint;
import org.springframework.web.servlet.HandlerExceptionResolver;

/** Answers whoever does not come in as every other failure is answered: with a problem document. */
final class Refusals implements AuthenticationEntryPoint {

    private static final String NO_TOKEN = "This needs a token: send it as Authorization: Bearer TOKEN.";

    private final HandlerExceptionResolver problems;
    private final WrongTokens wrongTokens;

    /** @param problems knows which failure is answered how */
    Refusals(HandlerExceptionResolver problems, WrongTokens wrongTokens) {
        this.problems = problems;
        this.wrongTokens = wrongTokens;
    }

    @Override
    public void commence(HttpServletRequest request, HttpServletResponse response, AuthenticationException why) {
        if (why instanceof RefusedException refused) {
            refused.known().ifPresent(caller -> request.setAttribute(AuditLog.CALLER, caller));
            if (refused.isGuess()) {
                wrongTokens.slowDown(request.getRemoteAddr());
            }
            refuse(request, response, refused.reason());
        } else {
            refuse(request, response, new LoopException.Unauthenticated(NO_TOKEN));
        }
    }

    void refuse(HttpServletRequest request, HttpServletResponse response, LoopException reason) {
        if (problems.resolveException(request, response, null, reason) == null) {
            throw reason;
        }
    }
}
