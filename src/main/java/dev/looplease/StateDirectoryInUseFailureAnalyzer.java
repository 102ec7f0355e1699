package dev.looplease;

import dev.looplease.journal.StateDirectoryInUse;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;

/** Says in two lines that another agent is there already. */
class StateDirectoryInUseFailureAnalyzer extends AbstractFailureAnalyzer<StateDirectoryInUse> {

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, StateDirectoryInUse cause) {
        return new FailureAnalysis(
                String.valueOf(cause.getMessage()),
                "Stop the other agent, or give this one a looplease.state-dir and a looplease.images-dir of its own.",
                cause);
    }
}
