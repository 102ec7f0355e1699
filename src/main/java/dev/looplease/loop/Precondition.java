package dev.looplease.loop;

import java.util.Set;

/** What a client's If-Match header demands of a resource; RFC 9110, 13.1.1. */
public sealed interface Precondition {

    /** No header. */
    record None() implements Precondition {}

    /** {@code *}: the resource exists, whatever its revision. */
    record Any() implements Precondition {}

    /** One of these strong entity tags, quotes included. */
    record OneOf(Set<String> etags) implements Precondition {}

    /** Throws {@link LoopException.PreconditionFailed} when {@code etag} is not what is demanded. */
    default void check(String etag) {
        if (this instanceof OneOf oneOf && !oneOf.etags().contains(etag)) {
            throw new LoopException.PreconditionFailed(etag);
        }
    }
}
