package dev.looplease.api;

import dev.looplease.loop.LoopException;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Failures of an operation that its shape (method, body, parameters) does not tell; they go into its description. Those
 * that the shape tells are in {@link ProblemCatalogue}.
 */
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
@interface MayRefuse {

    /** The failures, each with its place in the catalogue. */
    Class<? extends LoopException>[] value();
}
