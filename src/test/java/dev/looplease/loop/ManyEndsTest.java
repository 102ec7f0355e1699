package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Very many leases end in the same second: they are worked off, and whoever asks meanwhile is answered. */
@KernelTest
class ManyEndsTest {

    private static final int DEVICES = 1_000;

    @TempDir
    private Path home;

    @Test
    @Timeout(120)
    void areWorkedOffWhileOthersAreServed() throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot stays = bench.create(Bench.spec(4096), Bench.terms(3600));
            String staying = stays.managed().orElseThrow().lease().id();
            for (int i = 0; i < DEVICES; i++) {
                bench.create(Bench.spec(4096), Bench.terms(60));
            }
            assertThat(bench.bound()).hasSize(DEVICES + 1);
            bench.advance(Duration.ofSeconds(59));

            bench.advance(Duration.ofSeconds(1));
            List<Long> waits = new ArrayList<>();
            while (bench.service.usage().devices() > 1) {
                long asked = System.nanoTime();
                bench.renew(staying);
                bench.get(stays);
                bench.deleted(bench.create(Bench.spec(4096), Bench.terms(60)));
                waits.add(System.nanoTime() - asked);
            }

            assertThat(waits)
                    .as("requests served meanwhile")
                    .isNotEmpty()
                    .allSatisfy(wait -> assertThat(Duration.ofNanos(wait)).isLessThan(Duration.ofSeconds(5)));
            assertThat(bench.bound()).hasSize(1);
            assertThat(bench.state(stays)).contains(LoopState.READY);
            assertThat(bench.events.stream().filter(event -> event.type() == LoopEvent.Type.DEVICE_STUCK))
                    .isEmpty();
        }
    }
}
