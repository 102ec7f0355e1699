package dev.looplease.loop;

import dev.looplease.image.ImageException;
import dev.looplease.losetup.LosetupException;
import dev.looplease.posix.Errno;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.util.List;

/** What a failure on the ground floor means for whoever asked. */
final class Failures {

    static final String DETACHED_BEHIND_US = "The device was detached behind the agent's back. Read it again.";

    static final String NAMELESS =
            "The image is not under its name any more: the device is all that leads to it. Copy what"
                    + " you need from the device, then DELETE it.";

    private Failures() {}

    /** Names an I/O failure of any room below. */
    static LoopException of(IOException failure) {
        return switch (failure) {
            case ImageException image -> of(image);
            case LosetupException losetup -> of(losetup);
            case PosixException posix -> of(posix);
            default -> new LoopException.KernelFailure("Reading the kernel's state failed.", "EIO", failure);
        };
    }

    /** The same of the journal. */
    static LoopException ofJournal(IOException failure) {
        return failure instanceof PosixException posix && isFull(posix)
                ? LoopException.InsufficientStorage.ofJournal(posix)
                : of(failure);
    }

    private static boolean isFull(PosixException failure) {
        return failure.errno() == Errno.ENOSPC || failure.errno() == Errno.EDQUOT;
    }

    private static LoopException of(PosixException failure) {
        return isFull(failure)
                ? new LoopException.InsufficientStorage(failure)
                : new LoopException.KernelFailure("The kernel refused a step.", failure.errnoName(), failure);
    }

    private static LoopException of(ImageException failure) {
        String message = String.valueOf(failure.getMessage());
        return switch (failure) {
            case ImageException.InvalidPath e -> new LoopException.Invalid("imagePath", message);
            case ImageException.OutsideRoots e -> new LoopException.Invalid("imagePath", message);
            case ImageException.NotFound e -> new LoopException.Invalid("imagePath", message);
            case ImageException.NotAFile e -> new LoopException.Invalid("imagePath", message);
            case ImageException.Symlink e -> new LoopException.Invalid("imagePath", message);
            case ImageException.HardLinked e -> new LoopException.Invalid("imagePath", message);
            case ImageException.NotADirectory e -> new LoopException.Invalid("imagePath", message);
            case ImageException.Forbidden e -> new LoopException.Invalid("imagePath", message);
            case ImageException.TooLarge e -> new LoopException.Invalid("sizeBytes", message);
            case ImageException.Exists e ->
                new LoopException.ImageExists(message + " It was left untouched; "
                        + (e.isFile() ? "reuseFile attaches it as it is." : "choose another path."));
            case ImageException.Replaced e -> new LoopException.WrongState(message);
            case ImageException.NoSpace e -> new LoopException.InsufficientStorage(e);
            case ImageException.Failed e -> new LoopException.KernelFailure(message, e.errnoName(), e);
        };
    }

    private static LoopException of(LosetupException failure) {
        return switch (failure) {
            case LosetupException.NameTaken e -> new LoopException.NameTaken(e.number());
            case LosetupException.NotGranted e ->
                e.feature().equals("directIo")
                        ? new LoopException.DirectIoUnavailable()
                        : new LoopException.KernelFailure(
                                "The kernel silently gave another " + e.feature() + "; that was undone.", "EINVAL", e);
            case LosetupException.Refused e ->
                new LoopException.Invalid(e.feature(), "is refused by this kernel: " + e.detail());
            case LosetupException.Moved e ->
                new LoopException.WrongState("The image's path leads elsewhere by now, so it was not attached.");
            case LosetupException.Gone e -> new LoopException.WrongState(DETACHED_BEHIND_US);
            case LosetupException.TimedOut e ->
                new LoopException.KernelFailure("The kernel did not answer in time.", "ETIMEDOUT", e);
            case LosetupException.KernelError e ->
                e.errnoName().equals("EBUSY")
                        ? new LoopException.DeviceBusy("The device", List.of())
                        : new LoopException.KernelFailure("The loop driver refused a step.", e.errnoName(), e);
        };
    }
}
