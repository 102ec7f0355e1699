package dev.looplease.api;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.WallClock;
import io.swagger.v3.oas.annotations.media.Schema;
import java.util.List;

/** A lease with its devices in full. */
@Schema(name = "LeaseWithDevices", description = "A lease with its devices in full.")
record LeaseGroupView(@JsonUnwrapped LeaseView lease, List<LoopDeviceView> devices) {

    static LeaseGroupView of(LoopService.Group group, WallClock clock) {
        return new LeaseGroupView(
                LeaseView.of(group.lease(), clock),
                group.devices().stream()
                        .map(device -> LoopDeviceView.of(device, clock))
                        .toList());
    }
}
