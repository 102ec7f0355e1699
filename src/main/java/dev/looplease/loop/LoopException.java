package dev.looplease.loop;

import dev.looplease.usage.DeviceUser;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Everything that can go wrong in the product, one type a failure. The family is sealed, so that a new failure does not
 * compile until the HTTP interface has given it a status. Messages are for people and say what to do.
 */
public abstract sealed class LoopException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    private LoopException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    private LoopException(String message) {
        this(message, null);
    }

    /** The input cannot be right, whatever the state of the host. */
    public static final class Invalid extends LoopException {
        private static final long serialVersionUID = 1L;
        private final transient List<FieldError> errors;

        public Invalid(List<FieldError> errors) {
            super(String.join(
                    "; ",
                    errors.stream().map(e -> e.field() + ": " + e.message()).toList()));
            this.errors = List.copyOf(errors);
        }

        public Invalid(String field, String message) {
            this(List.of(new FieldError(field, message)));
        }

        public List<FieldError> errors() {
            return errors;
        }

        /** The same of a part of a larger input. */
        public Invalid within(String part) {
            return naming(field -> part + "." + field);
        }

        /** The same with other names for the fields. */
        public Invalid naming(UnaryOperator<String> names) {
            return new Invalid(errors.stream()
                    .map(error -> new FieldError(names.apply(error.field()), error.message()))
                    .toList());
        }
    }

    /** No such device or lease, and none that ended lately. */
    public static final class NotFound extends LoopException {
        private static final long serialVersionUID = 1L;

        public NotFound(String kind, String id) {
            super("There is no " + kind + " " + (PlainText.is(id) ? id : "of that id") + ".");
        }
    }

    /** The device or lease ended. */
    public static final class Ended extends LoopException {
        private static final long serialVersionUID = 1L;
        private final EndReason reason;

        public Ended(String kind, String id, EndReason reason) {
            super("The " + kind + " " + id + " has ended: " + reason + ".");
            this.reason = reason;
        }

        public EndReason reason() {
            return reason;
        }
    }

    /** The device is attached, but not by this agent. */
    public static final class NotManaged extends LoopException {
        private static final long serialVersionUID = 1L;

        public NotManaged(String name) {
            super(name + " was not made by this agent: it may be read, never changed.");
        }
    }

    /** The device or lease is somebody else's. */
    public static final class NotOwner extends LoopException {
        private static final long serialVersionUID = 1L;

        public NotOwner(String kind, String id) {
            super("The " + kind + " " + id + " is not yours.");
        }
    }

    /** Nobody knows who asks. */
    public static final class Unauthenticated extends LoopException {
        private static final long serialVersionUID = 1L;

        public Unauthenticated(String message) {
            super(message);
        }
    }

    /** Who asks can be told by an identity provider alone, which does not answer. */
    public static final class ProviderUnavailable extends LoopException {
        private static final long serialVersionUID = 1L;

        public ProviderUnavailable() {
            super(
                    "The identity provider's keys, by which this token is checked, cannot be had now. Retry in a moment.");
        }
    }

    /** Whoever asks may do nothing of the kind. */
    public static final class NotPermitted extends LoopException {
        private static final long serialVersionUID = 1L;

        public NotPermitted(String message) {
            super(message);
        }
    }

    /** A change by kernel name without If-Match. */
    public static final class PreconditionRequired extends LoopException {
        private static final long serialVersionUID = 1L;

        public PreconditionRequired(String name) {
            super("A loop number changes hands: a change to " + name
                    + " needs an If-Match header with the ETag that a GET" + " returned. Or use the device's id.");
        }
    }

    /** If-Match names another revision. */
    public static final class PreconditionFailed extends LoopException {
        private static final long serialVersionUID = 1L;

        public PreconditionFailed(String current) {
            super("The resource has changed: its ETag is now " + current + ". Read it again and decide anew.");
        }
    }

    /** Somebody uses the device. */
    public static final class DeviceBusy extends LoopException {
        private static final long serialVersionUID = 1L;
        private final transient List<DeviceUser> users;

        public DeviceBusy(String name, List<DeviceUser> users) {
            super(name + " is in use; nothing was changed.");
            this.users = List.copyOf(users);
        }

        public List<DeviceUser> users() {
            return users;
        }
    }

    /** The call does not fit the state that the device or lease is in. */
    public static final class WrongState extends LoopException {
        private static final long serialVersionUID = 1L;

        public WrongState(String message) {
            super(message);
        }

        public WrongState(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** The wanted loop number is bound. */
    public static final class NameTaken extends LoopException {
        private static final long serialVersionUID = 1L;

        public NameTaken(int number) {
            super("loop" + number + " is attached already. Leave name out to get the first free one.");
        }
    }

    /** A file stands where a new image was to be made. */
    public static final class ImageExists extends LoopException {
        private static final long serialVersionUID = 1L;

        public ImageExists(String message) {
            super(message);
        }
    }

    /** Two writable mappings of one file would overlap, or the file is another device's image. */
    public static final class ImageOverlap extends LoopException {
        private static final long serialVersionUID = 1L;

        public ImageOverlap(String message) {
            super(message);
        }
    }

    /** Direct I/O was required and the kernel does not grant it. */
    public static final class DirectIoUnavailable extends LoopException {
        private static final long serialVersionUID = 1L;

        public DirectIoUnavailable() {
            super("The kernel does not grant direct I/O for this image: its filesystem must support O_DIRECT, and"
                    + " offsetBytes and sectorSize must fit that filesystem's blocks. PREFER takes it where it works.");
        }
    }

    /** The agent lends as much as it may already. */
    public static final class CapacityExhausted extends LoopException {
        private static final long serialVersionUID = 1L;
        private final Duration retryAfter;

        public CapacityExhausted(String message, Duration retryAfter) {
            super(message);
            this.retryAfter = retryAfter;
        }

        /** When the next lease ends at the latest that could make room, at least a second. */
        public Duration retryAfter() {
            return retryAfter;
        }
    }

    /** Its owner has as much as it may. */
    public static final class QuotaExceeded extends LoopException {
        private static final long serialVersionUID = 1L;
        private final Duration retryAfter;

        public QuotaExceeded(String message, Duration retryAfter) {
            super(message);
            this.retryAfter = retryAfter;
        }

        /** When its next lease ends at the latest, or its next request is in order; at least a second. */
        public Duration retryAfter() {
            return retryAfter;
        }
    }

    /** An Idempotency-Key that was used for something else. */
    public static final class KeyReused extends LoopException {
        private static final long serialVersionUID = 1L;

        public KeyReused() {
            super("This Idempotency-Key came with another request before. Use a new key for a new request.");
        }
    }

    /** The same request with the same Idempotency-Key is under way. */
    public static final class KeyInFlight extends LoopException {
        private static final long serialVersionUID = 1L;

        public KeyInFlight() {
            super("The same request with this Idempotency-Key is under way. Repeat it in a moment.");
        }
    }

    /** The agent has just started and compares its records with the kernel. */
    public static final class Recovering extends LoopException {
        private static final long serialVersionUID = 1L;

        public Recovering() {
            super("The agent has just started and is comparing its records with the kernel. Retry in a moment.");
        }
    }

    /** The agent is stopping. */
    public static final class ShuttingDown extends LoopException {
        private static final long serialVersionUID = 1L;

        public ShuttingDown() {
            super("The agent is shutting down. Retry when it is back.");
        }
    }

    /** The filesystem has not the room. */
    public static final class InsufficientStorage extends LoopException {
        private static final long serialVersionUID = 1L;
        private final @Nullable String field;

        public InsufficientStorage(Throwable cause) {
            this("The filesystem of the image has not enough room; nothing was made.", "sizeBytes", cause);
        }

        private InsufficientStorage(String message, @Nullable String field, @Nullable Throwable cause) {
            super(message, cause);
            this.field = field;
        }

        /** It is not the image's filesystem, but the one on which the agent records what it does. */
        static InsufficientStorage ofJournal(Throwable cause) {
            return new InsufficientStorage(
                    "The filesystem of the agent's state directory (looplease.state-dir) has not enough room to record"
                            + " this; nothing was changed.",
                    null,
                    cause);
        }

        /** What asks for more than there is; empty where nothing smaller would fit either. */
        public Optional<String> field() {
            return Optional.ofNullable(field);
        }

        /** The same of a part of a larger input. */
        public InsufficientStorage within(String part) {
            return naming(name -> part + "." + name);
        }

        /** The same with another name for the field. */
        public InsufficientStorage naming(UnaryOperator<String> names) {
            return field == null
                    ? this
                    : new InsufficientStorage(String.valueOf(getMessage()), names.apply(field), this);
        }
    }

    /** The kernel refused something that should have worked. */
    public static final class KernelFailure extends LoopException {
        private static final long serialVersionUID = 1L;
        private final String errnoName;

        public KernelFailure(String message, String errnoName, @Nullable Throwable cause) {
            super(message, cause);
            this.errnoName = errnoName;
        }

        /** The errno's name, {@code EIO}. */
        public String errnoName() {
            return errnoName;
        }
    }
}
