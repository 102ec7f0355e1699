package dev.looplease.ops;

import dev.looplease.loop.LoopEvent;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import org.springframework.stereotype.Component;

/**
 * Counts events, {@code looplease_events_total{event="device.ready"}}. All are there from the start: of a counter that
 * comes into being with its first event no monitor sees that it grew.
 */
@Component
class LoopMetrics implements LoopEvent.Listener {

    private final Map<LoopEvent.Type, Counter> counters = new EnumMap<>(LoopEvent.Type.class);

    LoopMetrics(MeterRegistry meters) {
        for (LoopEvent.Type type : LoopEvent.Type.values()) {
            counters.put(
                    type,
                    Counter.builder("looplease.events")
                            .description("What happened to devices and leases since the agent started, by kind")
                            .tag("event", type.text())
                            .register(meters));
        }
    }

    @Override
    public void happened(LoopEvent event) {
        Objects.requireNonNull(counters.get(event.type())).increment();
    }
}
