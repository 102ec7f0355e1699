package dev.looplease.loop;

import java.util.ArrayList;
import java.util.List;

/** Gathers what is wrong with an input, so that its sender learns all of it at once. */
public final class Violations {

    private final List<FieldError> errors = new ArrayList<>();

    /** Notes that {@code field} is wrong unless {@code holds}. */
    public Violations require(boolean holds, String field, String message) {
        if (!holds) {
            errors.add(new FieldError(field, message));
        }
        return this;
    }

    /** Whether something is wrong with {@code field}, so that checks built on it can be left out. */
    public boolean has(String field) {
        return errors.stream().anyMatch(error -> error.field().equals(field));
    }

    /** Throws {@link LoopException.Invalid} when anything was noted. */
    public void throwIfAny() {
        if (!errors.isEmpty()) {
            throw new LoopException.Invalid(errors);
        }
    }
}
