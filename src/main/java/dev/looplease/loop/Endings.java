package dev.looplease.loop;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** Why what ended lately has ended: for 15 minutes, or until {@value #AT_MOST} later ends of the same kind. */
final class Endings {

    static final Duration REMEMBERED_FOR = Duration.ofMinutes(15);
    static final int AT_MOST = 10_000;

    private final Ticker ticker;
    private final Consumer<String> forgotten;
    private final Map<String, Ending> endings = new LinkedHashMap<>();

    /** Why, whose it was, and when. */
    record Ending(EndReason reason, String owner, long at) {}

    /** @param forgotten hears of each id that is remembered no longer */
    Endings(Ticker ticker, Consumer<String> forgotten) {
        this.ticker = ticker;
        this.forgotten = forgotten;
    }

    synchronized void add(String id, String owner, EndReason reason) {
        endings.put(id, new Ending(reason, owner, ticker.nanos()));
        if (endings.size() > AT_MOST) {
            String oldest = endings.keySet().iterator().next();
            endings.remove(oldest);
            forgotten.accept(oldest);
        }
    }

    /** How that ended; empty for what never was, is still there, or is remembered no longer. */
    synchronized Optional<Ending> find(String id) {
        Ending ending = endings.get(id);
        if (ending != null && ticker.nanos() - ending.at() >= REMEMBERED_FOR.toNanos()) {
            endings.remove(id);
            forgotten.accept(id);
            return Optional.empty();
        }
        return Optional.ofNullable(ending);
    }
}
