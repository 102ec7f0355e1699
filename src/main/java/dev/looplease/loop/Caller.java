package dev.looplease.loop;

import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Who asks. What is made belongs to its credential's name; nothing in a request can say otherwise.
 *
 * @param name the credential's; two credentials of one name are one owner
 * @param role what it may do
 * @param quota how much it may have
 * @param sight what it sees of others' things
 */
public record Caller(String name, Role role, Quota quota, Sight sight) {

    /** Everybody, where nobody is asked who they are. */
    public static final String ANONYMOUS = "anonymous";

    /** It goes into log lines and answers: nothing that could end a line or a quotation. */
    private static final Pattern NAME = Pattern.compile("[\\p{L}\\p{N}][\\p{L}\\p{N} ._@:|/+=~-]{0,127}");

    public Caller {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("name: must be 1 to 128 letters, digits, spaces and any of ._@:|/+=~-,"
                    + " the first a letter or digit");
        }
    }

    /** What somebody may do. */
    public enum Role {
        /** Looks at everything, changes nothing. */
        VIEWER,
        /** Makes things, and changes its own. */
        USER,
        /** Changes everybody's. */
        OPERATOR
    }

    /** What somebody sees of what is not theirs; foreign loop devices are nobody's. */
    public enum Sight {
        /** All of it. */
        FULL,
        /** That it is there, without the paths of files and without labels. */
        REDACTED,
        /** Nothing. */
        HIDDEN
    }

    boolean owns(String owner) {
        return name.equals(owner);
    }

    /** Whether it may know that something exists. */
    boolean sees(@Nullable String owner) {
        return sight != Sight.HIDDEN || name.equals(owner);
    }

    /** Whether it may know all of something. */
    boolean seesAllOf(@Nullable String owner) {
        return sight == Sight.FULL || name.equals(owner);
    }

    /** Whether it may make anything at all. */
    boolean mayMake() {
        return role != Role.VIEWER;
    }

    void requireMake() {
        if (!mayMake()) {
            throw new LoopException.NotPermitted("A viewer may look at everything, and change nothing.");
        }
    }

    /** Refuses a change of what belongs to {@code owner}. */
    void requireChange(String kind, String id, String owner) {
        requireMake();
        if (role != Role.OPERATOR && !owns(owner)) {
            throw new LoopException.NotOwner(kind, id);
        }
    }

    /** Its own quota for its own things; on others' things an operator acts for them, and is not held by it. */
    Quota quotaOn(String owner) {
        return owns(owner) ? quota : Quota.NONE;
    }

    /** What it may see of a device; empty for nothing. */
    Optional<LoopSnapshot> view(LoopSnapshot device) {
        String owner = device.owner();
        if (seesAllOf(owner)) {
            return Optional.of(device);
        }
        return sees(owner) ? Optional.of(device.redacted()) : Optional.empty();
    }

    /** What it may see of a lease; empty for nothing. */
    Optional<LeaseSnapshot> view(LeaseSnapshot lease) {
        if (seesAllOf(lease.owner())) {
            return Optional.of(lease);
        }
        return sees(lease.owner()) ? Optional.of(lease.redacted()) : Optional.empty();
    }
}
