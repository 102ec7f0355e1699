package dev.looplease.loop;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Something that happened to a device or lease, for logs and metrics.
 *
 * @param deviceId null for an event of a lease
 * @param name the kernel's name, {@code loop7}; null while there is none
 * @param image the path of the device's image file; null while there is none
 * @param detail for people; null when the type says it all
 */
public record LoopEvent(
        Type type,
        @Nullable String deviceId,
        @Nullable String name,
        @Nullable String leaseId,
        @Nullable String owner,
        @Nullable String image,
        @Nullable String detail) {

    /** A client chooses a path, and log lines are made of it: what could end a quotation or a line there is written otherwise. */
    public LoopEvent {
        image = image == null ? null : quotable(image);
        detail = detail == null ? null : quotable(detail);
    }

    private static String quotable(String text) {
        StringBuilder quotable = new StringBuilder(text.length());
        text.codePoints().forEach(c -> {
            if (c == '"' || c == '\\') {
                quotable.append('\\').appendCodePoint(c);
            } else if (isPrintable(c)) {
                quotable.appendCodePoint(c);
            } else {
                quotable.append(String.format("\\u%04x", c));
            }
        });
        return quotable.toString();
    }

    /** Not what moves the cursor, ends a line, or turns the direction of what follows. */
    private static boolean isPrintable(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SURROGATE -> false;
            default -> true;
        };
    }

    /** What happened; the names are those of the HTTP interface, {@code device.ready}. */
    public enum Type {
        DEVICE_READY,
        DEVICE_REFUSED,
        DEVICE_CHANGED,
        DEVICE_DETACHED,
        DEVICE_ATTACHED,
        DEVICE_RELEASING,
        DEVICE_RELEASED,
        DEVICE_STUCK,
        DEVICE_LOST,
        LEASE_ENDED;

        /** {@code device.ready} */
        public String text() {
            return name().toLowerCase(Locale.ROOT).replace('_', '.');
        }
    }

    /** Hears of every event, on the thread that caused it; must be quick and must not throw. */
    @FunctionalInterface
    public interface Listener {
        void happened(LoopEvent event);
    }
}
