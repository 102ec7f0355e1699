package dev.looplease.ops;

import dev.looplease.loop.LoopService;
import dev.looplease.loop.LoopState;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import org.springframework.stereotype.Component;

/** How much is lent now, and how much may be. */
@Component
class LendingMetrics implements MeterBinder {

    private final LoopService service;

    LendingMetrics(LoopService service) {
        this.service = service;
    }

    @Override
    public void bindTo(MeterRegistry meters) {
        for (LoopState state : LoopState.values()) {
            Gauge.builder("looplease.devices", service, s -> s.count(state))
                    .description("Devices that are lent, by state; those on their way out still count as lent")
                    .tag("state", state.name())
                    .register(meters);
        }
        Gauge.builder("looplease.leases", service, LoopService::leaseCount)
                .description("Leases that live or are being released")
                .register(meters);
        Gauge.builder("looplease.devices.max", service, s -> s.limits().maxDevices())
                .description("Devices that may be lent")
                .register(meters);
        Gauge.builder("looplease.promised", service, s -> s.usage().promisedBytes())
                .description("Size of all images together, sparse ones in full")
                .baseUnit("bytes")
                .register(meters);
    }
}
