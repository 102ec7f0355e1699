package dev.looplease.api;

import dev.looplease.loop.EndReason;
import dev.looplease.loop.LoopException;
import dev.looplease.usage.DeviceUser;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;

/**
 * Every problem that a client can meet: an example of each, made by {@link Problems} as the real ones are, and the
 * operations that can answer with it. The API's description is written from this.
 */
final class ProblemCatalogue {

    private static final String ID = "k3v9x0q2m7adp1c8";
    private static final String DEVICES = "/loop-devices";
    private static final String DEVICE = DEVICES + "/" + ID;

    /**
     * What can be told of an operation by looking at it.
     *
     * @param bodyFields the fields of its JSON body; empty without a body
     * @param pathVariables {@code ref} takes a device's id or name, {@code id} an id alone
     * @param declared what it says itself by {@link MayRefuse}
     */
    record Shape(
            String method,
            Set<String> bodyFields,
            Set<String> pathVariables,
            Set<String> queryParameters,
            Set<String> headers,
            Set<Class<? extends LoopException>> declared) {

        boolean hasBody() {
            return !bodyFields.isEmpty();
        }

        boolean changes() {
            return !method.equals("GET");
        }

        /** Changes a device that may be named by its loop number. */
        boolean changesByName() {
            return pathVariables.contains("ref") && changes();
        }

        boolean takesKey() {
            return headers.contains(IdempotencyKeys.HEADER);
        }

        boolean takesIfMatch() {
            return headers.contains(HttpHeaders.IF_MATCH);
        }

        /** Looks up something that may have ended. A DELETE of what has ended is done. */
        boolean needsTheLiving() {
            return (!pathVariables.isEmpty() && !method.equals("DELETE"))
                    || takesKey()
                    || bodyFields.contains("leaseId");
        }
    }

    /**
     * A problem document with the answers it may be found in.
     *
     * @param name of the example: the last part of its type, and the field where there are several of a type
     * @param summary of the example
     * @param failure what it tells of; null where the framework or web server refuses
     */
    record Entry(
            String name,
            String summary,
            Problems.Problem problem,
            Predicate<Shape> when,
            @Nullable Class<? extends LoopException> failure) {

        String type() {
            return typeOf(problem);
        }

        String title() {
            return titleOf(problem);
        }

        int status() {
            return problem.detail().getStatus();
        }
    }

    private static final List<Entry> ENTRIES = List.of(
            invalid(
                    "sizeBytes",
                    "must be a multiple of 512, not 513",
                    DEVICES,
                    shape -> shape.bodyFields().contains("sizeBytes")),
            invalid(
                    "ttlSeconds",
                    "must be between 1 and 86400 seconds, not 0",
                    DEVICES,
                    shape -> shape.bodyFields().contains("ttlSeconds")),
            invalid("body", "must be JSON; it is not at line 1, column 16", DEVICES, Shape::hasBody),
            invalid(
                    "force",
                    "is unknown: this call takes no body",
                    DEVICE,
                    shape -> shape.changes() && !shape.hasBody()),
            invalid(
                    "forced",
                    "is unknown; known are force",
                    DEVICE,
                    shape -> shape.queryParameters().contains("force")),
            invalid(
                    "page_size",
                    "is unknown; known are pageSize, pageToken",
                    "/leases",
                    shape -> shape.queryParameters().contains("pageSize")),
            invalid(
                    "label",
                    "is unknown: this call takes no parameters",
                    DEVICE,
                    shape -> shape.queryParameters().isEmpty()),
            invalid(
                    "pageSize",
                    "must be between 1 and 10000, not 0",
                    DEVICES,
                    shape -> shape.queryParameters().contains("pageSize")),
            invalid(
                    HttpHeaders.IF_MATCH,
                    "must be * or entity tags in double quotes, as in an ETag header",
                    DEVICE,
                    Shape::takesIfMatch),
            entry(
                    new Problems.Problem(
                            Problems.of(HttpStatus.BAD_REQUEST, "The web server refused the request: Bad Request.")),
                    // A header that is none, or too many of them, can be sent to every operation.
                    shape -> true),
            refused("cross-site", "Another site's request", "The page at http://evil.example may not use this agent."),
            refused("host-refused", "Not this agent's name", "evil.example is not a name of this agent."),
            of(
                    new LoopException.Unauthenticated("This needs a token: Authorization: Bearer TOKEN."),
                    DEVICES,
                    shape -> true),
            of(
                    new LoopException.NotPermitted("A viewer may look at everything, and change nothing."),
                    DEVICES,
                    // To look needs a role too, which an identity provider's token may lack.
                    shape -> true),
            of(new LoopException.NotManaged("loop7"), DEVICES + "/loop7", Shape::changesByName),
            of(
                    new LoopException.NotFound("device", ID),
                    DEVICE,
                    shape -> !shape.pathVariables().isEmpty()
                            || shape.bodyFields().contains("leaseId")),
            of(HttpStatus.METHOD_NOT_ALLOWED, "Method 'PUT' is not supported.", DEVICES, shape -> false),
            of(HttpStatus.NOT_ACCEPTABLE, "Acceptable representations: [application/json].", DEVICES, shape -> true),
            declared(
                    new LoopException.DeviceBusy(
                            "loop7",
                            List.of(
                                    new DeviceUser(DeviceUser.Kind.MOUNT, "/mnt/test", null, null),
                                    new DeviceUser(DeviceUser.Kind.PROCESS, "/mnt/test (cwd)", 4711L, "bash"))),
                    DEVICE),
            declared(new LoopException.NameTaken(7), DEVICES),
            declared(
                    new LoopException.ImageExists(
                            "/srv/images/disk.img exists already. It was left untouched; reuseFile attaches it as it"
                                    + " is."),
                    DEVICES),
            declared(
                    new LoopException.ImageOverlap("Another device maps this part of the file, and both may write."
                            + " Map parts that do not overlap, or map it read-only."),
                    DEVICES),
            declared(new LoopException.DirectIoUnavailable(), DEVICES),
            of(
                    new LoopException.WrongState("The device is RELEASING: it cannot be changed any more."),
                    DEVICE,
                    Shape::changesByName),
            of(new LoopException.Ended("device", ID, EndReason.EXPIRED), DEVICE, Shape::needsTheLiving),
            of(new LoopException.PreconditionFailed("\"" + ID + ".5\""), DEVICE, Shape::takesIfMatch),
            of(HttpStatus.REQUEST_TIMEOUT, RequestTimeoutException.MESSAGE, DEVICES, Shape::changes),
            of(
                    HttpStatus.CONTENT_TOO_LARGE,
                    new RequestTooLargeException(1024 * 1024).getMessage(),
                    DEVICES,
                    Shape::changes),
            of(
                    HttpStatus.UNSUPPORTED_MEDIA_TYPE,
                    "Content-Type 'text/plain' is not supported.",
                    DEVICES,
                    Shape::hasBody),
            of(new LoopException.PreconditionRequired("loop7"), DEVICES + "/loop7", Shape::changesByName),
            of(
                    new LoopException.KernelFailure("The loop driver refused a step.", "EIO", null),
                    DEVICE,
                    shape -> shape.pathVariables().contains("ref")),
            of(
                    HttpStatus.INTERNAL_SERVER_ERROR,
                    "The agent made a mistake; its log tells more.",
                    DEVICE,
                    shape -> true),
            of(
                    HttpStatus.NOT_IMPLEMENTED,
                    "The web server refused the request: Not Implemented.",
                    DEVICES,
                    // A Transfer-Encoding other than chunked.
                    Shape::changes),
            declared(
                    new LoopException.CapacityExhausted(
                            "All 10000 devices that this agent may lend are lent.", Duration.ofSeconds(42)),
                    DEVICES),
            of(
                    new LoopException.QuotaExceeded(
                            "ci may have 20 devices. Give something back first.", Duration.ofSeconds(42)),
                    DEVICES,
                    shape -> true),
            of(new LoopException.KeyReused(), DEVICES, Shape::takesKey),
            of(new LoopException.KeyInFlight(), DEVICES, Shape::takesKey),
            of(
                    new LoopException.NotOwner("device", ID),
                    DEVICE,
                    shape -> shape.bodyFields().contains("leaseId")
                            || (shape.changes() && !shape.pathVariables().isEmpty())),
            of(new LoopException.Recovering(), DEVICES, shape -> true),
            of(new LoopException.ProviderUnavailable(), DEVICES, shape -> true),
            of(new LoopException.ShuttingDown(), DEVICES, shape -> true),
            declared(new LoopException.InsufficientStorage(new IOException("ENOSPC")), DEVICES));

    private ProblemCatalogue() {}

    /** Every problem by status. */
    static Stream<Entry> all() {
        return ENTRIES.stream();
    }

    /** What an operation can answer instead of what was wanted. */
    static List<Entry> of(Shape shape) {
        return ENTRIES.stream().filter(entry -> entry.when().test(shape)).toList();
    }

    private static Entry invalid(String field, String message, String instance, Predicate<Shape> when) {
        Problems.Problem problem = at(instance, Problems.of(new LoopException.Invalid(field, message)));
        return new Entry(
                lastPart(problem) + "-" + field,
                titleOf(problem) + ": " + field,
                problem,
                when,
                LoopException.Invalid.class);
    }

    /** A failure that operations name themselves. */
    private static Entry declared(LoopException example, String instance) {
        return of(example, instance, shape -> false);
    }

    /** A failure that a shape tells; operations of another shape may name it themselves. */
    private static Entry of(LoopException example, String instance, Predicate<Shape> when) {
        Problems.Problem problem = at(instance, Problems.of(example));
        return new Entry(
                lastPart(problem),
                titleOf(problem),
                problem,
                when.or(shape -> shape.declared().contains(example.getClass())),
                example.getClass());
    }

    /** What is refused to browsers before any operation is looked at. */
    private static Entry refused(String type, String title, String detail) {
        return entry(
                at(DEVICES, new Problems.Problem(Problems.of(HttpStatus.FORBIDDEN, type, title, detail))),
                shape -> true);
    }

    private static Entry of(HttpStatus status, String detail, String instance, Predicate<Shape> when) {
        return entry(at(instance, new Problems.Problem(Problems.of(status, detail))), when);
    }

    private static Entry entry(Problems.Problem problem, Predicate<Shape> when) {
        return new Entry(lastPart(problem), titleOf(problem), problem, when, null);
    }

    private static Problems.Problem at(String instance, Problems.Problem problem) {
        problem.detail().setInstance(URI.create(instance));
        return problem;
    }

    private static String titleOf(Problems.Problem problem) {
        return Objects.requireNonNull(problem.detail().getTitle());
    }

    private static String typeOf(Problems.Problem problem) {
        return Objects.requireNonNull(problem.detail().getType()).toString();
    }

    private static String lastPart(Problems.Problem problem) {
        return typeOf(problem).substring(typeOf(problem).lastIndexOf('/') + 1);
    }
}
