package dev.looplease;

import dev.looplease.loop.LoopEvent;
import java.util.List;
import org.springframework.stereotype.Component;

/** Tells everybody who listens what happened. */
@Component
class LoopEvents implements LoopEvent.Listener {

    private final List<LoopEvent.Listener> listeners;

    LoopEvents(List<LoopEvent.Listener> listeners) {
        this.listeners = listeners;
    }

    @Override
    public void happened(LoopEvent event) {
        listeners.forEach(listener -> listener.happened(event));
    }
}
