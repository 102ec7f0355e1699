package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Very many leases end in the same second: as many as {@code looplease.many-ends} says. */
@KernelTest
class ManyEndsTest {

    private static final int DEVICES = Integer.getInteger("looplease.many-ends", 1_000);
    private static final int OTHERS = 4;
    private static final Caller SOMEBODY_ELSE =
            new Caller("somebody-else", Caller.Role.USER, Quota.NONE, Caller.Sight.FULL);

    @TempDir
    private Path home;

    /**
     * Evenly: others make devices, renew and give back all the while, each time after a part of them. What counts is what
     * happened before what, not how long it took.
     */
    @Test
    @Timeout(600)
    void areWorkedOffWhileOthersAreServed() throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot stays = create(bench);
            for (int i = 0; i < DEVICES; i++) {
                bench.create(Bench.spec(4096), Bench.terms(60));
            }
            assertThat(bench.bound()).hasSize(DEVICES + 1);
            bench.advance(Duration.ofSeconds(60).minusMillis(500));

            // The reaper's own thread finds that their time is over.
            bench.ticker.advance(Duration.ofMillis(500));
            List<CompletableFuture<Void>> others = IntStream.range(0, OTHERS)
                    .mapToObj(i -> CompletableFuture.runAsync(
                            () -> bePresent(bench, stays),
                            task -> Thread.ofPlatform().start(task)))
                    .toList();
            others.forEach(CompletableFuture::join);

            assertThat(bench.state(stays)).contains(LoopState.READY);
            delete(bench, stays);
            Bench.soon().untilAsserted(() -> assertThat(bench.bound()).isEmpty());
            assertThat(mostInARow(bench.events))
                    .as("how many of %s ended before it was somebody else's turn", DEVICES)
                    .isLessThan(DEVICES * 3 / 4);
            assertThat(bench.events.stream().filter(event -> event.type() == LoopEvent.Type.DEVICE_STUCK))
                    .isEmpty();
        }
    }

    /** Asks for this and that, until hardly anybody else is left. */
    private static void bePresent(Bench bench, LoopSnapshot stays) {
        String lease = stays.managed().orElseThrow().lease().id();
        while (bench.service.usage().devices() > OTHERS + 1) {
            bench.service.renew(lease, new Precondition.None(), OptionalLong.empty(), SOMEBODY_ELSE);
            bench.service.get(Bench.ref(stays), SOMEBODY_ELSE);
            delete(bench, create(bench));
        }
    }

    private static LoopSnapshot create(Bench bench) {
        return bench.service
                .create(Bench.spec(4096), new LeaseChoice.Own(Bench.terms(3600)), SOMEBODY_ELSE, null)
                .value();
    }

    private static void delete(Bench bench, LoopSnapshot device) {
        Bench.soon()
                .ignoreExceptionsMatching(LoopException.DeviceBusy.class::isInstance)
                .until(() -> bench.service.delete(Bench.ref(device), new Precondition.None(), false, SOMEBODY_ELSE)
                        instanceof LoopService.Release.Done);
    }

    /** How many of the many were released at most between two releases of somebody else. */
    private static int mostInARow(List<LoopEvent> events) {
        int most = 0;
        int inARow = 0;
        for (LoopEvent event : events) {
            if (event.type() == LoopEvent.Type.DEVICE_RELEASED) {
                inARow = SOMEBODY_ELSE.name().equals(event.owner()) ? 0 : inARow + 1;
                most = Math.max(most, inARow);
            }
        }
        return most;
    }
}
