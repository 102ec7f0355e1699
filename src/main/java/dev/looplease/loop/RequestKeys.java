package dev.looplease.loop;

import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Which Idempotency-Key made what. A key lives as long as the agent remembers what it made. */
final class RequestKeys {

    private final Map<OwnedKey, Entry> entries = new HashMap<>();
    private final Map<String, OwnedKey> byResource = new HashMap<>();

    private record OwnedKey(String owner, String key) {}

    /** @param resource what it made; null while that is under way */
    private record Entry(String fingerprint, @Nullable String resource) {}

    /**
     * Begins a request, or finds what it made before.
     *
     * @return the id of what it made; empty when it is to be made now
     * @throws LoopException.KeyReused when the key came with another request
     * @throws LoopException.KeyInFlight when its twin is under way
     */
    synchronized Optional<String> begin(String owner, RequestKey key) {
        Entry known = entries.putIfAbsent(new OwnedKey(owner, key.key()), new Entry(key.fingerprint(), null));
        if (known == null) {
            return Optional.empty();
        }
        if (!known.fingerprint().equals(key.fingerprint())) {
            throw new LoopException.KeyReused();
        }
        if (known.resource() == null) {
            throw new LoopException.KeyInFlight();
        }
        return Optional.of(known.resource());
    }

    /** Notes what a request made. */
    synchronized void made(String owner, @Nullable RequestKey key, String resource) {
        if (key != null) {
            OwnedKey owned = new OwnedKey(owner, key.key());
            entries.put(owned, new Entry(key.fingerprint(), resource));
            byResource.put(resource, owned);
        }
    }

    /** A request made nothing: its key may be used again. */
    synchronized void failed(String owner, @Nullable RequestKey key) {
        if (key != null) {
            entries.remove(new OwnedKey(owner, key.key()));
        }
    }

    /** What a request made is remembered no longer. */
    synchronized void forget(String resource) {
        OwnedKey owned = byResource.remove(resource);
        if (owned != null) {
            entries.remove(owned);
        }
    }
}
