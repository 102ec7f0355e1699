package dev.looplease.loop;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/** What reverses the steps that were done so far, last first. */
final class Undo {

    /** The reverse of one step. */
    @FunctionalInterface
    interface Step {
        void run() throws IOException;
    }

    private final Deque<Step> steps = new ArrayDeque<>();

    void push(Step step) {
        steps.push(step);
    }

    /** Reverses everything; what fails meanwhile is added to the first error as suppressed. */
    void run(Throwable first) {
        while (!steps.isEmpty()) {
            try {
                steps.pop().run();
            } catch (IOException | RuntimeException e) {
                first.addSuppressed(e);
            }
        }
    }
}
