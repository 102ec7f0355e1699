package dev.looplease.security;

import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;

/** Says why the agent does not start in two lines instead of a stack trace. */
class NotLoopbackFailureAnalyzer extends AbstractFailureAnalyzer<LoopbackOnly.NotLoopbackException> {

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, LoopbackOnly.NotLoopbackException cause) {
        return new FailureAnalysis(
                String.valueOf(cause.getMessage()),
                "Listen on a loopback address (server.address=127.0.0.1), or ask for tokens (looplease.auth=token).",
                cause);
    }
}
