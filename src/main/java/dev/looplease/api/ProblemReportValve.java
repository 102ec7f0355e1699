package dev.looplease.api;

import java.io.IOException;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.valves.ErrorReportValve;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.converter.json.ProblemDetailJacksonMixin;
import tools.jackson.databind.json.JsonMapper;

/** Tomcat's own refusals (a malformed request line, a bad encoding in the path) as problem documents. */
public final class ProblemReportValve extends ErrorReportValve {

    private static final Logger log = LoggerFactory.getLogger(ProblemReportValve.class);

    /** Tomcat makes this valve by its name, so that nothing can be injected. */
    private static final JsonMapper JSON = JsonMapper.builder()
            .addMixIn(ProblemDetail.class, ProblemDetailJacksonMixin.class)
            .build();

    @Override
    protected void report(Request request, Response response, @Nullable Throwable failure) {
        int code = response.getStatus();
        // As in the class above: only errors, only where nothing was written yet, and only once.
        if (code < 400 || response.getContentWritten() > 0 || !response.setErrorReported()) {
            return;
        }
        HttpStatus status = HttpStatus.resolve(code) == null ? HttpStatus.BAD_REQUEST : HttpStatus.valueOf(code);
        if (status == HttpStatus.EXPECTATION_FAILED) {
            // An Expect of something unheard-of: no reason for a status of its own in every operation's description.
            status = HttpStatus.BAD_REQUEST;
            code = status.value();
            response.setStatus(code);
        }
        ProblemDetail problem =
                Problems.of(status, "The web server refused the request: " + status.getReasonPhrase() + ".");
        problem.setStatus(code);
        problem.setInstance(Problems.instance(request.getRequestURI()));
        byte[] body = JSON.writeValueAsBytes(problem);
        try {
            response.setContentType(MediaType.APPLICATION_PROBLEM_JSON_VALUE);
            response.setContentLength(body.length);
            response.getOutputStream().write(body);
            response.finishResponse();
        } catch (IOException e) {
            log.debug("The client did not wait for its error.", e);
        }
    }
}
