package dev.looplease.loop;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which devices of the host a list shall have. It goes by what the agent knows, so that what is not wanted need not be
 * looked at.
 *
 * @param managed only ours, or only foreign ones; null for both
 * @param labels each must be there
 */
public record DeviceFilter(
        @Nullable Boolean managed,
        @Nullable String leaseId,
        @Nullable LoopState state,
        List<Label> labels) {

    /** A label with its value. */
    public record Label(String key, String value) {}

    public DeviceFilter {
        labels = List.copyOf(labels);
    }

    boolean wantsForeign(Caller caller) {
        return caller.sees(null)
                && !Boolean.TRUE.equals(managed)
                && leaseId == null
                && state == null
                && labels.isEmpty();
    }

    /** It is asked of what the caller sees: a filter must not tell what the list does not show. */
    boolean wants(ManagedLoop loop, Caller caller) {
        Standing standing = loop.standing();
        Map<String, String> has = caller.seesAllOf(loop.owner()) ? standing.labels() : Map.of();
        return caller.sees(loop.owner())
                && !Boolean.FALSE.equals(managed)
                && (leaseId == null || standing.lease().id().equals(leaseId))
                && (state == null || standing.state() == state)
                && labels.stream().allMatch(label -> label.value().equals(has.get(label.key())));
    }
}
