package dev.looplease.loop;

import java.util.regex.Pattern;

/**
 * How a client names a device: by the agent's id, or by the kernel's name, which changes hands.
 */
public sealed interface DeviceRef {

    /** An id: 16 characters, so that it is never mistaken for a name. */
    record Id(String id) implements DeviceRef {
        @Override
        public String toString() {
            return id;
        }
    }

    /** A loop number. */
    record Name(int number) implements DeviceRef {
        @Override
        public String toString() {
            return "loop" + number;
        }
    }

    Pattern NAMES = Pattern.compile("loop(0|[1-9][0-9]{0,6})");

    /** Reads {@code loop7} as a number and everything else as an id. */
    static DeviceRef parse(String text) {
        var name = NAMES.matcher(text);
        return name.matches() ? new Name(Integer.parseInt(name.group(1))) : new Id(text);
    }
}
