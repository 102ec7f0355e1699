package dev.looplease.loop;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A part of the list of devices.
 *
 * @param next behind which the next part begins; null when this is the last one
 */
public record Slice(List<LoopSnapshot> items, @Nullable Place next) {

    /**
     * Where in the list: attached devices come by number, then our detached ones by id.
     *
     * @param number of an attached device
     * @param id of a detached one; empty for an attached one
     */
    public record Place(int number, String id) {

        /** Before the first. */
        public static final Place START = new Place(-1, "");

        /** At an attached device. */
        public static Place at(int number) {
            return new Place(number, "");
        }

        /** At a detached device. */
        public static Place at(String id) {
            return new Place(Integer.MAX_VALUE, id);
        }

        /** Whether all attached devices come before it. */
        public boolean isDetached() {
            return number == Integer.MAX_VALUE;
        }
    }
}
