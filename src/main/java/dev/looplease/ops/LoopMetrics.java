package dev.looplease.ops;

import dev.looplease.loop.LoopEvent;
import io.micrometer.core.instrument.MeterRegistry;
import org.springframework.stereotype.Component;

/** Counts events, {@code looplease_events_total{event="device.ready"}}. */
@Component
class LoopMetrics implements LoopEvent.Listener {

    private final MeterRegistry meters;

    LoopMetrics(MeterRegistry meters) {
        this.meters = meters;
    }

    @Override
    public void happened(LoopEvent event) {
        meters.counter("looplease.events", "event", event.type().text()).increment();
    }
}
