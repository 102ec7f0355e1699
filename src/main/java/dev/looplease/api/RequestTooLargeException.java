package dev.looplease.api;

import java.io.IOException;

/** A request's body is larger than the agent reads. */
final class RequestTooLargeException extends IOException {

    private static final long serialVersionUID = 1L;

    RequestTooLargeException(long mostBytes) {
        super("The body must be at most " + mostBytes + " bytes.");
    }

    @Override
    public String getMessage() {
        return String.valueOf(super.getMessage());
    }
}
