package dev.looplease.loop;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.function.Consumer;

/** Why what ended lately has ended: for 15 minutes, or until {@value #AT_MOST} later ends of the same kind. */
final class Endings {

    static final Duration REMEMBERED_FOR = Duration.ofMinutes(15);
    static final int AT_MOST = 10_000;

    private final Ticker ticker;
    private final Consumer<String> forgotten;
    /** The oldest first. */
    private final SequencedMap<String, Ending> endings = new LinkedHashMap<>();

    /** Why, whose it was, and when. */
    record Ending(EndReason reason, String owner, long at) {}

    /** @param forgotten hears of each id that is remembered no longer */
    Endings(Ticker ticker, Consumer<String> forgotten) {
        this.ticker = ticker;
        this.forgotten = forgotten;
    }

    synchronized void add(String id, String owner, EndReason reason) {
        endings.putLast(id, new Ending(reason, owner, ticker.nanos()));
        if (endings.size() > AT_MOST) {
            forgetOldest();
        }
    }

    /** Lets go of what is remembered no longer, and with it of the keys that made it. */
    synchronized void forgetOld() {
        long now = ticker.nanos();
        while (!endings.isEmpty() && now - endings.firstEntry().getValue().at() >= REMEMBERED_FOR.toNanos()) {
            forgetOldest();
        }
    }

    private void forgetOldest() {
        forgotten.accept(endings.pollFirstEntry().getKey());
    }

    /** How that ended; empty for what never was, is still there, or is remembered no longer. */
    synchronized Optional<Ending> find(String id) {
        forgetOld();
        return Optional.ofNullable(endings.get(id));
    }
}
