package dev.looplease.api;

import java.io.IOException;

/** A body took longer to arrive than anybody waits. */
final class RequestTimeoutException extends IOException {

    private static final long serialVersionUID = 1L;

    static final String MESSAGE = "The body took too long to arrive.";

    RequestTimeoutException() {
        super(MESSAGE);
    }
}
