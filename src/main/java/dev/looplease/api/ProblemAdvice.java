package dev.looplease.api;

import dev.looplease.loop.FieldError;
import dev.looplease.loop.LoopException;
import jakarta.servlet.http.HttpServletRequest;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.apache.tomcat.util.http.InvalidParameterException;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.TypeMismatchException;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.InvalidMediaTypeException;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.http.converter.HttpMessageNotReadableException;
import org.springframework.web.ErrorResponse;
import org.springframework.web.HttpRequestMethodNotSupportedException;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.context.request.ServletWebRequest;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.method.annotation.MethodArgumentTypeMismatchException;
import org.springframework.web.servlet.mvc.method.annotation.ResponseEntityExceptionHandler;
import org.springframework.web.servlet.resource.NoResourceFoundException;

/** Answers every failure of a controller, or of the framework before it, with a problem document. */
@RestControllerAdvice
class ProblemAdvice extends ResponseEntityExceptionHandler {

    private static final Logger log = LoggerFactory.getLogger(ProblemAdvice.class);

    @ExceptionHandler
    ResponseEntity<ProblemDetail> handle(LoopException failure, HttpServletRequest request) {
        Problems.Problem problem = Problems.of(failure);
        // A full disk or agent is no fault that a stack trace could explain.
        if (problem.detail().getStatus() == HttpStatus.INTERNAL_SERVER_ERROR.value()) {
            log.warn("{} {} failed: {}", request.getMethod(), request.getRequestURI(), failure.getMessage(), failure);
        }
        HttpHeaders headers = new HttpHeaders();
        problem.retryAfter()
                .ifPresent(wait -> headers.set(HttpHeaders.RETRY_AFTER, Long.toString(Math.max(1, wait.toSeconds()))));
        if (failure instanceof LoopException.Unauthenticated) {
            headers.set(HttpHeaders.WWW_AUTHENTICATE, "Bearer");
        }
        return answer(problem.detail(), headers, request.getRequestURI());
    }

    @ExceptionHandler
    ResponseEntity<ProblemDetail> handle(RequestTooLargeException failure, HttpServletRequest request) {
        return answer(
                Problems.of(HttpStatus.CONTENT_TOO_LARGE, failure.getMessage()),
                new HttpHeaders(),
                request.getRequestURI());
    }

    /** Tomcat reads a query when the first parameter of it is asked for. */
    @ExceptionHandler
    ResponseEntity<ProblemDetail> handle(InvalidParameterException failure, HttpServletRequest request) {
        HttpStatus status = HttpStatus.valueOf(failure.getErrorCode());
        return answer(
                Problems.of(status, "The query cannot be read: " + status.getReasonPhrase() + "."),
                new HttpHeaders(),
                request.getRequestURI());
    }

    @ExceptionHandler
    ResponseEntity<ProblemDetail> handle(RuntimeException failure, HttpServletRequest request) {
        if (failure instanceof IllegalArgumentException && isOfEveryType(request)) {
            // Spring parses the header, and then throws because no body can be of this type.
            return answer(
                    Problems.of(HttpStatus.UNSUPPORTED_MEDIA_TYPE, "A Content-Type is no pattern."),
                    new HttpHeaders(),
                    request.getRequestURI());
        }
        log.error("{} {} failed.", request.getMethod(), request.getRequestURI(), failure);
        return answer(
                Problems.of(HttpStatus.INTERNAL_SERVER_ERROR, "The agent made a mistake; its log tells more."),
                new HttpHeaders(),
                request.getRequestURI());
    }

    private static boolean isOfEveryType(HttpServletRequest request) {
        try {
            MediaType type = MediaType.valueOf(String.valueOf(request.getContentType()));
            return type.isWildcardType() || type.isWildcardSubtype();
        } catch (InvalidMediaTypeException e) {
            return false;
        }
    }

    @Override
    protected @Nullable ResponseEntity<Object> handleHttpMessageNotReadable(
            HttpMessageNotReadableException failure, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        if (failure.getRootCause() instanceof RequestTooLargeException tooLarge) {
            return body(Problems.of(HttpStatus.CONTENT_TOO_LARGE, tooLarge.getMessage()), headers, request);
        }
        if (failure.getRootCause() instanceof RequestTimeoutException) {
            return body(Problems.of(HttpStatus.REQUEST_TIMEOUT, RequestTimeoutException.MESSAGE), headers, request);
        }
        return body(Problems.invalid(List.of(JsonErrors.explain(failure))), headers, request);
    }

    @Override
    protected @Nullable ResponseEntity<Object> handleTypeMismatch(
            TypeMismatchException failure, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        String name = failure instanceof MethodArgumentTypeMismatchException mismatch
                ? mismatch.getName()
                : String.valueOf(failure.getPropertyName());
        FieldError error = new FieldError(name, "must be " + JsonErrors.wanted(failure.getRequiredType()));
        return body(Problems.invalid(List.of(error)), headers, request);
    }

    /** Spring's list leaves out what it answers by itself. */
    @Override
    protected @Nullable ResponseEntity<Object> handleHttpRequestMethodNotSupported(
            HttpRequestMethodNotSupportedException failure,
            HttpHeaders headers,
            HttpStatusCode status,
            WebRequest request) {
        HttpHeaders whole = new HttpHeaders();
        whole.putAll(headers);
        Set<HttpMethod> methods = new LinkedHashSet<>(headers.getAllow());
        if (methods.contains(HttpMethod.GET)) {
            methods.add(HttpMethod.HEAD);
        }
        methods.add(HttpMethod.OPTIONS);
        whole.setAllow(methods);
        return super.handleHttpRequestMethodNotSupported(failure, whole, status, request);
    }

    @Override
    protected @Nullable ResponseEntity<Object> handleNoResourceFoundException(
            NoResourceFoundException failure, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        return body(Problems.of(HttpStatus.NOT_FOUND, "There is nothing at this path."), headers, request);
    }

    /** Everything else that the framework refuses: method, media types, parameters, paths. */
    @Override
    protected @Nullable ResponseEntity<Object> handleExceptionInternal(
            Exception failure, @Nullable Object body, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
        HttpStatus known = Objects.requireNonNullElse(HttpStatus.resolve(status.value()), HttpStatus.BAD_REQUEST);
        if (failure instanceof ErrorResponse response && isTyped(response.getBody())) {
            return body(response.getBody(), headers, request);
        }
        String explained =
                failure instanceof ErrorResponse response ? response.getBody().getDetail() : null;
        String detail = Objects.requireNonNullElse(explained, known.getReasonPhrase());
        return body(Problems.of(known, detail), headers, request);
    }

    /** Whoever refused it said what it is, {@code /problems/cross-site}; the framework leaves that open. */
    private static boolean isTyped(ProblemDetail problem) {
        return problem.getType() != null && problem.getType().getPath() != null;
    }

    private static ResponseEntity<Object> body(ProblemDetail problem, HttpHeaders headers, WebRequest request) {
        String path = request instanceof ServletWebRequest servlet
                ? servlet.getRequest().getRequestURI()
                : "/";
        ResponseEntity<ProblemDetail> answer = answer(problem, headers, path);
        return ResponseEntity.status(answer.getStatusCode())
                .headers(answer.getHeaders())
                .body(answer.getBody());
    }

    private static ResponseEntity<ProblemDetail> answer(ProblemDetail problem, HttpHeaders headers, String path) {
        problem.setInstance(Problems.instance(path));
        return ResponseEntity.status(problem.getStatus())
                .headers(headers)
                .contentType(MediaType.APPLICATION_PROBLEM_JSON)
                .body(problem);
    }
}
