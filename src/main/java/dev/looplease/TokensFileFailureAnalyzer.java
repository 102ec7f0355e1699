package dev.looplease;

import dev.looplease.security.TokensFileException;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;

/** Says why the agent does not start in two lines instead of a stack trace. */
class TokensFileFailureAnalyzer extends AbstractFailureAnalyzer<TokensFileException> {

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, TokensFileException cause) {
        return new FailureAnalysis(
                String.valueOf(cause.getMessage()),
                "Mend it; java -jar looplease.jar token --name NAME --role user prints an entry as it should be.",
                cause);
    }
}
