package dev.looplease.losetup;

import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** Why the loop driver did not do what it was asked. A failed attach has left nothing bound. */
public abstract sealed class LosetupException extends IOException {

    private static final long serialVersionUID = 1L;

    private LosetupException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    /** A failed system call, or what was thrown here before. */
    static LosetupException of(IOException e) {
        return switch (e) {
            case LosetupException typed -> typed;
            case PosixException posix -> new KernelError(posix.errnoName(), posix.getMessage(), posix);
            default -> new KernelError(KernelError.UNKNOWN, e.toString(), e);
        };
    }

    /** Throws {@link NotGranted} where the kernel gave something else than was asked for. */
    static void expect(String feature, Object asked, Object got) throws NotGranted {
        if (!asked.equals(got)) {
            throw new NotGranted(feature, asked, got);
        }
    }

    /** The wanted number is bound, to an image of whomever. */
    public static final class NameTaken extends LosetupException {
        private static final long serialVersionUID = 1L;

        private final int number;

        NameTaken(int number) {
            super("loop" + number + " is taken", null);
            this.number = number;
        }

        public int number() {
            return number;
        }
    }

    /** Something asked for was silently not granted. An attachment has been undone; an attached device is as it was. */
    public static final class NotGranted extends LosetupException {
        private static final long serialVersionUID = 1L;

        private final String feature;
        private final String asked;
        private final String got;

        NotGranted(String feature, Object asked, Object got) {
            super(feature + ": asked for " + asked + ", the kernel gave " + got, null);
            this.feature = feature;
            this.asked = asked.toString();
            this.got = got.toString();
        }

        /** The field's name, such as {@code directIo}. */
        public String feature() {
            return feature;
        }

        public String asked() {
            return asked;
        }

        public String got() {
            return got;
        }
    }

    /** The kernel says, or it is known that it would have to say, that this cannot be; nothing was changed. */
    public static final class Refused extends LosetupException {
        private static final long serialVersionUID = 1L;

        private final String feature;
        private final String detail;

        /** Of the kernel's EINVAL to a sector size, in the same words whoever asked the kernel. */
        static Refused sectorSize(int bytes) {
            return new Refused("sectorSize", "the kernel does not take " + bytes);
        }

        Refused(String feature, String detail) {
            super(feature + ": " + detail, null);
            this.feature = feature;
            this.detail = detail;
        }

        /** The field's name, such as {@code sectorSize}. */
        public String feature() {
            return feature;
        }

        public String detail() {
            return detail;
        }
    }

    /** The path of the image leads elsewhere, or nowhere, by now. What was bound instead has been undone. */
    public static final class Moved extends LosetupException {
        private static final long serialVersionUID = 1L;

        Moved(Path path) {
            super(path + " led to another file than the open image", null);
        }
    }

    /** The attachment is no more. */
    public static final class Gone extends LosetupException {
        private static final long serialVersionUID = 1L;

        Gone(LoopIdentity identity) {
            super("loop" + identity.number() + " is no longer that attachment", null);
        }
    }

    /** {@code losetup} did not finish in time and was killed; what it had bound has been undone. */
    public static final class TimedOut extends LosetupException {
        private static final long serialVersionUID = 1L;

        TimedOut(String message) {
            super(message, null);
        }
    }

    /** Anything else. */
    public static final class KernelError extends LosetupException {
        /** Where there was no errno, or nobody told. */
        public static final String UNKNOWN = "unknown";

        private static final long serialVersionUID = 1L;

        private final String errnoName;
        private final String detail;

        KernelError(String errnoName, String detail) {
            this(errnoName, detail, null);
        }

        private KernelError(String errnoName, @Nullable String detail, @Nullable Throwable cause) {
            super(detail + " (" + errnoName + ")", cause);
            this.errnoName = errnoName;
            this.detail = String.valueOf(detail);
        }

        /** Such as {@code ENOSPC}, or {@link #UNKNOWN}. */
        public String errnoName() {
            return errnoName;
        }

        public String detail() {
            return detail;
        }
    }
}
