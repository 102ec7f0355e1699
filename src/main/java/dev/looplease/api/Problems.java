package dev.looplease.api;

import dev.looplease.loop.FieldError;
import dev.looplease.loop.LoopException;
import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;

/** From a failure to its problem document (RFC 9457): the only place that knows statuses. */
final class Problems {

    /** A problem document and how long to wait before trying again, where that helps. */
    record Problem(ProblemDetail detail, Optional<Duration> retryAfter) {
        Problem(ProblemDetail detail) {
            this(detail, Optional.empty());
        }
    }

    private static final URI ROOT = URI.create("/");

    private Problems() {}

    static Problem of(LoopException failure) {
        return switch (failure) {
            case LoopException.Invalid e -> new Problem(invalid(e.errors()));
            case LoopException.NotFound e -> new Problem(of(HttpStatus.NOT_FOUND, "not-found", "Not Found", e));
            case LoopException.Ended e ->
                new Problem(with(of(HttpStatus.GONE, "ended", "It has ended", e), "endReason", e.reason()));
            case LoopException.NotManaged e ->
                new Problem(of(HttpStatus.FORBIDDEN, "not-managed", "Not this agent's device", e));
            case LoopException.Unauthenticated e ->
                new Problem(of(HttpStatus.UNAUTHORIZED, "unauthorized", "Unauthorized", e));
            case LoopException.ProviderUnavailable e ->
                new Problem(
                        of(
                                HttpStatus.SERVICE_UNAVAILABLE,
                                "identity-provider-unavailable",
                                "The identity provider does not answer",
                                e),
                        Optional.of(Duration.ofSeconds(5)));
            case LoopException.NotPermitted e ->
                new Problem(of(HttpStatus.FORBIDDEN, "not-permitted", "Not permitted", e));
            case LoopException.NotOwner e -> new Problem(of(HttpStatus.FORBIDDEN, "not-owner", "Not yours", e));
            case LoopException.PreconditionRequired e ->
                new Problem(of(HttpStatus.PRECONDITION_REQUIRED, "precondition-required", "If-Match is needed", e));
            case LoopException.PreconditionFailed e ->
                new Problem(of(HttpStatus.PRECONDITION_FAILED, "precondition-failed", "It has changed", e));
            case LoopException.DeviceBusy e ->
                new Problem(with(
                        of(HttpStatus.CONFLICT, "device-busy", "The device is in use", e),
                        "users",
                        e.users().stream().map(DeviceUserView::of).toList()));
            case LoopException.WrongState e ->
                new Problem(of(HttpStatus.CONFLICT, "wrong-state", "Not possible in this state", e));
            case LoopException.NameTaken e ->
                new Problem(of(HttpStatus.CONFLICT, "name-taken", "The name is taken", e));
            case LoopException.ImageExists e ->
                new Problem(of(HttpStatus.CONFLICT, "image-exists", "A file is there already", e));
            case LoopException.ImageOverlap e ->
                new Problem(of(HttpStatus.CONFLICT, "image-overlap", "The image is mapped already", e));
            case LoopException.DirectIoUnavailable e ->
                new Problem(of(HttpStatus.CONFLICT, "direct-io-unavailable", "No direct I/O", e));
            case LoopException.CapacityExhausted e ->
                new Problem(
                        of(HttpStatus.SERVICE_UNAVAILABLE, "capacity-exhausted", "The agent is full", e),
                        Optional.of(e.retryAfter()));
            case LoopException.QuotaExceeded e ->
                new Problem(
                        of(HttpStatus.TOO_MANY_REQUESTS, "quota-exceeded", "More than you may have", e),
                        Optional.of(e.retryAfter()));
            case LoopException.KeyReused e ->
                new Problem(of(HttpStatus.UNPROCESSABLE_CONTENT, "idempotency-key-reused", "The key is used", e));
            case LoopException.KeyInFlight e ->
                new Problem(
                        of(HttpStatus.CONFLICT, "idempotency-key-in-flight", "The request is under way", e),
                        Optional.of(Duration.ofSeconds(1)));
            case LoopException.Recovering e ->
                new Problem(
                        of(HttpStatus.SERVICE_UNAVAILABLE, "recovering", "The agent is starting", e),
                        Optional.of(Duration.ofSeconds(1)));
            case LoopException.ShuttingDown e ->
                new Problem(
                        of(HttpStatus.SERVICE_UNAVAILABLE, "shutting-down", "The agent is stopping", e),
                        Optional.of(Duration.ofSeconds(10)));
            case LoopException.InsufficientStorage e -> {
                ProblemDetail full = of(HttpStatus.INSUFFICIENT_STORAGE, "insufficient-storage", "Not enough room", e);
                e.field()
                        .ifPresent(field -> with(
                                full,
                                "errors",
                                List.of(new FieldError(field, "is more than the image's filesystem has room for"))));
                yield new Problem(full);
            }
            case LoopException.KernelFailure e ->
                new Problem(with(
                        of(HttpStatus.INTERNAL_SERVER_ERROR, "kernel-error", "The kernel refused", e),
                        "errno",
                        e.errnoName()));
        };
    }

    /**
     * The path of a request as an instance that leads nowhere else: {@code //x} would be another host, and what the web
     * server could not read has no path.
     */
    static URI instance(@Nullable String path) {
        try {
            return path == null || !path.startsWith("/") ? ROOT : new URI(path.replaceFirst("^/+", "/"));
        } catch (URISyntaxException e) {
            return ROOT;
        }
    }

    static ProblemDetail invalid(List<FieldError> errors) {
        ProblemDetail problem = of(
                HttpStatus.BAD_REQUEST,
                "invalid-request",
                "The request is not valid",
                String.join(
                        "; ",
                        errors.stream()
                                .map(error -> error.field() + ": " + error.message())
                                .toList()));
        return with(problem, "errors", errors);
    }

    private static ProblemDetail of(HttpStatus status, String type, String title, LoopException failure) {
        return of(status, type, title, String.valueOf(failure.getMessage()));
    }

    static ProblemDetail of(HttpStatus status, String type, String title, String detail) {
        ProblemDetail problem = ProblemDetail.forStatusAndDetail(status, detail);
        problem.setType(URI.create("/problems/" + type));
        problem.setTitle(title);
        return problem;
    }

    private static ProblemDetail with(ProblemDetail problem, String name, Object value) {
        problem.setProperty(name, value);
        return problem;
    }

    /** For what the web server or framework refuses: the type is the status's name, {@code /problems/not-acceptable}. */
    static ProblemDetail of(HttpStatus status, String detail) {
        String name = status.getReasonPhrase();
        return of(status, name.toLowerCase(Locale.ROOT).replace(' ', '-'), name, detail);
    }
}
