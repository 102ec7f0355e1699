package dev.looplease.loop;

import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;

/** How much each owner has now, against what it may have. Used inside {@link LoopRegistry}'s lock only. */
final class Holdings {

    private static final Held NOTHING = new Held(0, 0, 0);

    private final Map<String, Held> byOwner = new HashMap<>();

    /** What one owner has. */
    private record Held(int devices, long bytes, int leases) {
        Held plus(int moreDevices, long moreBytes, int moreLeases) {
            return new Held(devices + moreDevices, bytes + moreBytes, leases + moreLeases);
        }
    }

    boolean hasRoomForDevices(String owner, int more, Quota quota) {
        return isWithin(held(owner).devices() + more, quota.devices());
    }

    boolean hasRoomForBytes(String owner, long more, Quota quota) {
        OptionalLong most = quota.bytes();
        return more <= 0
                || most.isEmpty()
                || more <= most.getAsLong() - held(owner).bytes();
    }

    boolean hasRoomForLease(String owner, Quota quota) {
        return isWithin(held(owner).leases() + 1, quota.leases());
    }

    private static boolean isWithin(int count, OptionalInt most) {
        return most.isEmpty() || count <= most.getAsInt();
    }

    void add(String owner, int devices, long bytes, int leases) {
        Held after = held(owner).plus(devices, bytes, leases);
        if (after.equals(NOTHING)) {
            byOwner.remove(owner);
        } else {
            byOwner.put(owner, after);
        }
    }

    private Held held(String owner) {
        return byOwner.getOrDefault(owner, NOTHING);
    }
}
