package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Somebody sets the wall clock while the agent runs: every lease lives exactly as long as it was promised. */
@KernelTest
class ClockChangeTest {

    @TempDir
    private Path home;

    @ParameterizedTest
    @ValueSource(ints = {1, -1})
    void noLeaseEndsSoonerOrLater(int days) throws IOException {
        Duration change = Duration.ofDays(days);
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot renewed = bench.create();
            LoopSnapshot forgotten = bench.create();
            LoopService.Group bounded = bench.service
                    .createLease(
                            new LeaseTerms(
                                    OptionalLong.of(60), OptionalLong.of(100), false, OnExpiry.UNMOUNT, Map.of()),
                            List.of(Bench.spec(Bench.MIB)),
                            Bench.OWNER,
                            null)
                    .value();
            String lease = renewed.managed().orElseThrow().lease().id();
            bench.advance(Duration.ofSeconds(30));

            bench.clock.move(change);

            assertThat(bench.getLease(lease).remaining()).isEqualTo(Duration.ofSeconds(30));
            bench.advance(Duration.ofSeconds(29));
            assertThat(bench.managed()).hasSize(3);
            assertThat(bench.renew(lease).remaining()).isEqualTo(Duration.ofSeconds(60));
            assertThat(bench.renew(bounded.lease().id()).remaining()).isEqualTo(Duration.ofSeconds(41));

            bench.clock.move(change.multipliedBy(-2));

            LoopSnapshot made = bench.create();
            bench.advance(Duration.ofSeconds(1));
            assertExpired(bench, forgotten);
            bench.advance(Duration.ofSeconds(39));
            assertThat(bench.managed()).hasSize(3);
            bench.advance(Duration.ofSeconds(1));
            assertExpired(bench, bounded.devices().getFirst());

            bench.clock.move(change);

            // What has ended is told from what never was by the same clock that ended it.
            assertExpired(bench, forgotten);
            bench.advance(Duration.ofSeconds(18));
            assertThat(bench.managed()).hasSize(2);
            bench.advance(Duration.ofSeconds(1));
            assertExpired(bench, renewed);
            assertExpired(bench, made);
        }
    }

    /** Its time is over now: it need not pass for that. */
    private static void assertExpired(Bench bench, LoopSnapshot device) {
        Bench.soon().until(() -> bench.state(device).isEmpty());
        assertThat(bench.endReason(device)).isEqualTo(EndReason.EXPIRED);
    }
}
