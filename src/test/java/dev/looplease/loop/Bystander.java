package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.losetup.LoopIdentity;
import java.util.Objects;
import java.util.OptionalLong;

/** What an agent lends to somebody who has nothing to do with what goes wrong. */
record Bystander(String id, LoopIdentity attachment, String lease) {

    static Bystander of(Ground ground) {
        String id = Operation.create(ground, Operation.spec(), null);
        LeaseSnapshot lease = Operation.lease(ground, id);
        ground.service.renew(lease.id(), Operation.ANY, OptionalLong.of(Operation.RENEWED_SECONDS), Operation.OWNER);
        LoopSnapshot device = ground.service.get(new DeviceRef.Id(id), Operation.OWNER);
        return new Bystander(id, device.observed().orElseThrow().identity(), lease.id());
    }

    void assertLives(Ground ground) {
        LoopSnapshot device = ground.service.get(new DeviceRef.Id(id), Operation.OWNER);
        assertThat(Truth.state(device)).isEqualTo(LoopState.READY);
        assertThat(device.observed().orElseThrow().identity()).isEqualTo(attachment);
        assertThat(remaining(ground, id))
                .as("a renewal that was answered counts")
                .isGreaterThan(7000);
        assertThat(Operation.lease(ground, id).id()).isEqualTo(lease);
    }

    /** How long a device lives yet, in seconds. */
    static long remaining(Ground ground, String device) {
        return Objects.requireNonNull(Operation.lease(ground, device).remaining())
                .toSeconds();
    }
}
