package dev.looplease.losetup;

import java.time.Duration;

/**
 * How many loop devices the agent keeps in the kernel beyond those in use. Making one takes ten times as long as using one
 * again, and keeping one costs the kernel about 66 KB.
 *
 * @param prepared so many free ones are made when the agent starts, and stay
 * @param pruneAfter how long one that the agent added must have been free before it is removed
 */
public record NodePolicy(int prepared, Duration pruneAfter) {

    /** Nothing is made in advance, and nothing is removed within a day. */
    public static final NodePolicy LAZY = new NodePolicy(0, Duration.ofDays(1));

    public NodePolicy {
        if (prepared < 0 || prepared > Attachment.MAX_NUMBER) {
            throw new IllegalArgumentException(
                    "prepared nodes must be between 0 and " + Attachment.MAX_NUMBER + ", not " + prepared);
        }
        if (pruneAfter.isNegative()) {
            throw new IllegalArgumentException("nodes cannot be pruned after " + pruneAfter);
        }
    }
}
