package dev.looplease.api;

import dev.looplease.loop.LoopException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import tools.jackson.databind.json.JsonMapper;

/** Writes problem documents where no controller answers: in filters. */
final class ProblemWriter {

    private final JsonMapper json;

    ProblemWriter(JsonMapper json) {
        this.json = json;
    }

    void write(HttpServletRequest request, HttpServletResponse response, RequestTooLargeException failure)
            throws IOException {
        // What follows on this connection is the rest of a body that nobody reads.
        response.setHeader("Connection", "close");
        write(request, response, Problems.of(HttpStatus.CONTENT_TOO_LARGE, failure.getMessage()));
    }

    void write(HttpServletRequest request, HttpServletResponse response, LoopException failure) throws IOException {
        Problems.Problem problem = Problems.of(failure);
        problem.retryAfter().ifPresent(wait -> response.setHeader("Retry-After", Long.toString(wait.toSeconds())));
        write(request, response, problem.detail());
    }

    private void write(HttpServletRequest request, HttpServletResponse response, ProblemDetail problem)
            throws IOException {
        problem.setInstance(Problems.instance(request.getRequestURI()));
        response.setStatus(problem.getStatus());
        response.setContentType(MediaType.APPLICATION_PROBLEM_JSON_VALUE);
        json.writeValue(response.getOutputStream(), problem);
    }
}
