package dev.looplease.loop;

import dev.looplease.image.ImageFile;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.LoopIdentity;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How a managed device stands: what the agent promised and what it made so far, not what the kernel says. A value; each
 * change is a new one.
 *
 * @param image null until it is made
 * @param attachment which binding of which number is ours; null while there is none
 * @param sectorSize logical, in bytes
 * @param promisedBytes what the image counts against the limits
 * @param endReason why it is on its way out; null while it lives
 * @param policy what is done to its users when it is released
 */
record Standing(
        LoopState state,
        @Nullable ImageFile image,
        @Nullable LoopIdentity attachment,
        int sectorSize,
        DirectIo directIo,
        Map<String, String> labels,
        Lease lease,
        long promisedBytes,
        @Nullable EndReason endReason,
        OnExpiry policy) {

    Standing with(LoopState next) {
        return new Standing(
                next, image, attachment, sectorSize, directIo, labels, lease, promisedBytes, endReason, policy);
    }

    /** Moves on only from where it is expected: a device that was claimed for release meanwhile stays claimed. */
    Standing become(LoopState expected, LoopState next) {
        return state == expected ? with(next) : this;
    }

    Standing with(ImageFile next) {
        return new Standing(
                state, next, attachment, sectorSize, directIo, labels, lease, promisedBytes, endReason, policy);
    }

    /** @param next null: not attached any more */
    Standing withAttachment(@Nullable LoopIdentity next) {
        return new Standing(state, image, next, sectorSize, directIo, labels, lease, promisedBytes, endReason, policy);
    }

    Standing withSectorSize(int next) {
        return new Standing(state, image, attachment, next, directIo, labels, lease, promisedBytes, endReason, policy);
    }

    Standing with(DirectIo next) {
        return new Standing(
                state, image, attachment, sectorSize, next, labels, lease, promisedBytes, endReason, policy);
    }

    Standing withLabels(Map<String, String> next) {
        return new Standing(
                state,
                image,
                attachment,
                sectorSize,
                directIo,
                Map.copyOf(next),
                lease,
                promisedBytes,
                endReason,
                policy);
    }

    Standing with(Lease next) {
        return new Standing(
                state, image, attachment, sectorSize, directIo, labels, next, promisedBytes, endReason, policy);
    }

    Standing withPromisedBytes(long next) {
        return new Standing(state, image, attachment, sectorSize, directIo, labels, lease, next, endReason, policy);
    }

    /** On its way out. The first reason stays, and so does an order to unmount. */
    Standing releasing(EndReason reason, OnExpiry how) {
        return new Standing(
                LoopState.RELEASING,
                image,
                attachment,
                sectorSize,
                directIo,
                labels,
                lease,
                promisedBytes,
                endReason == null ? reason : endReason,
                endReason != null && policy == OnExpiry.UNMOUNT ? policy : how);
    }
}
