package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two things happen to a lease at once: one of them wins, and everybody is told the truth about which. */
@KernelTest
class LeaseRaceTest {

    private static final int ROUNDS = 100;

    @TempDir
    private Path home;

    private Bench bench;

    @BeforeEach
    void start() throws IOException {
        bench = new Bench(home, Backend.IOCTL);
    }

    @AfterEach
    void stop() throws IOException {
        bench.close();
    }

    private interface Act {
        void run() throws Exception;
    }

    /** Does both at the same moment; the first one's answer, or its refusal. */
    private static <T> Either<T> race(java.util.function.Supplier<T> first, Act second) throws Exception {
        CyclicBarrier start = new CyclicBarrier(2);
        CompletableFuture<Either<T>> answer = CompletableFuture.supplyAsync(
                () -> {
                    try {
                        start.await();
                        return new Either<>(first.get(), null);
                    } catch (LoopException e) {
                        return new Either<>(null, e);
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                },
                task -> Thread.ofPlatform().start(task));
        start.await();
        second.run();
        return answer.get();
    }

    private record Either<T>(
            @org.jspecify.annotations.Nullable T value,
            @org.jspecify.annotations.Nullable LoopException refusal) {}

    @Test
    void aRenewalThatSucceedsIsKeptForItsWholeTtl() throws Exception {
        int won = 0;
        for (int round = 0; round < ROUNDS; round++) {
            LoopSnapshot device = bench.create(Bench.spec(4096), Bench.terms(1));
            String lease = device.managed().orElseThrow().lease().id();
            bench.ticker.advance(Duration.ofMillis(999));

            Either<LeaseSnapshot> renewal = race(() -> bench.renew(lease), () -> {
                bench.ticker.advance(Duration.ofMillis(1));
                bench.service.reap();
            });

            if (renewal.value() == null) {
                assertThat(renewal.refusal()).isInstanceOf(LoopException.Ended.class);
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            } else {
                won++;
                bench.ticker.advance(Duration.ofMillis(998));
                bench.service.reap();
                assertThat(bench.state(device)).contains(LoopState.READY);
                bench.renew(lease);
                bench.deleted(device);
            }
        }
        assertThat(won).as("rounds that the renewal won").isBetween(1, ROUNDS);
    }

    /** The fault guarded: a device that had just moved to another lease was ended with the one that it had left. */
    @Test
    void aMoveThatSucceedsIsNotEndedWithTheLeaseThatItLeft() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            String before = bench.lease(60).id();
            String after = bench.lease(60).id();
            LoopSnapshot device = bench.create(before);

            Either<LoopSnapshot> move = race(() -> bench.move(device, after), () -> bench.endLease(before));

            if (move.value() == null) {
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
                assertThat(bench.getLease(after).deviceIds()).isEmpty();
            } else {
                assertThat(bench.state(device)).contains(LoopState.READY);
                assertThat(bench.getLease(after).deviceIds()).containsExactly(device.requiredId());
            }
            assertEnds(before);
            bench.endLease(after);
        }
    }

    /** The fault guarded: a device could join a lease that had ended, and then ended never. */
    @Test
    void aDeviceThatMovesToALeaseThatEndsStaysWhereItIsOrEndsToo() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            String before = bench.lease(60).id();
            String after = bench.lease(60).id();
            LoopSnapshot device = bench.create(before);

            Either<LoopSnapshot> move = race(() -> bench.move(device, after), () -> bench.endLease(after));

            if (move.value() == null) {
                assertThat(bench.state(device)).contains(LoopState.READY);
                assertThat(bench.getLease(before).deviceIds()).containsExactly(device.requiredId());
            } else {
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            }
            assertEnds(after);
            bench.endLease(before);
        }
    }

    @Test
    void aDeviceThatJoinsALeaseThatEndsIsRefusedOrEndsToo() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            String lease = bench.lease(60).id();

            Either<LoopSnapshot> creation = race(() -> bench.create(lease), () -> bench.endLease(lease));

            assertEnds(lease);
            if (creation.value() != null) {
                LoopSnapshot device = creation.value();
                bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
            }
        }
        assertThat(bench.bound()).isEmpty();
    }

    /** The fault guarded: the last device left, another one joined, and only then was the lease, empty no more, ended. */
    @Test
    void aDeviceThatJoinsAnothersOwnLeaseIsRefusedOrKeepsItAlive() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            LoopSnapshot first = bench.create();
            String lease = first.managed().orElseThrow().lease().id();

            Either<LoopSnapshot> creation = race(() -> bench.create(lease), () -> bench.deleted(first));

            if (creation.value() == null) {
                assertThat(creation.refusal()).isInstanceOf(LoopException.Ended.class);
            } else {
                assertThat(bench.renew(lease).deviceIds())
                        .containsExactly(creation.value().requiredId());
                bench.deleted(creation.value());
            }
            assertEnds(lease);
        }
    }

    /** The fault guarded: a renewal started a lease half of whose devices were still to be made. */
    @Test
    void aLeaseAndItsDevicesAreNobodysBeforeAllAreMade() {
        List<LoopSnapshot> seen = new ArrayList<>();
        List<Throwable> refusals = new ArrayList<>();
        bench.losetup.before(
                "attach",
                () -> bench.losetup.before("attach", () -> {
                    seen.addAll(bench.managed());
                    bench.journal().live().keySet().stream()
                            .filter(key -> key.startsWith("lease/"))
                            .map(key -> key.substring("lease/".length()))
                            .forEach(id -> refusals.add(catchThrowable(() -> bench.renew(id))));
                }));

        LoopService.Group group = bench.createGroup(2);

        assertThat(seen).isEmpty();
        assertThat(refusals).hasOnlyElementsOfType(LoopException.NotFound.class).hasSize(1);
        assertThat(bench.managed()).hasSize(2);
        assertThat(bench.renew(group.lease().id()).deviceIds()).hasSize(2);
    }

    /** The same fault, met within some thousand rounds. */
    @Test
    void aLeaseThatADeviceHasJoinedIsNotEndedAsAnEmptyOne() throws Exception {
        Records records = new Records(bench.journal(), "boot", "agent", bench.ticker, Clock.systemUTC());
        LoopRegistry registry =
                new LoopRegistry(Bench.UNLIMITED, bench.ticker, new Agenda(), records, new RequestKeys());
        Lease[] leases = new Lease[1000 * ROUNDS];
        for (int round = 0; round < leases.length; round++) {
            leases[round] = new Lease(
                    new Lease.Terms("id", "owner", Map.of(), OnExpiry.UNMOUNT, null, Instant.EPOCH, true, null),
                    Lease.Times.notStarted(null),
                    records);
            leases[round].join("first");
        }
        AtomicInteger begun = new AtomicInteger(-1);

        Either<BitSet> joined = race(
                () -> {
                    BitSet won = new BitSet();
                    for (int round = 0; round < leases.length; round++) {
                        while (begun.get() < round) {
                            Thread.onSpinWait();
                        }
                        won.set(round, leases[round].join("second"));
                    }
                    return won;
                },
                () -> {
                    for (int round = 0; round < leases.length; round++) {
                        begun.set(round);
                        registry.leave(leases[round], "first", EndReason.DELETED);
                    }
                });

        BitSet alive = Objects.requireNonNull(joined.value());
        for (int round = 0; round < leases.length; round++) {
            assertThat(leases[round].claimed() == null)
                    .as("lives in round %d", round)
                    .isEqualTo(alive.get(round));
        }
    }

    private void assertEnds(String lease) {
        bench.inTime(() -> {
            try {
                assertThat(bench.endLease(lease)).isTrue();
            } catch (LoopException.Ended e) {
                // That is the same.
            }
        });
    }

    @Test
    void aStallGivesEverybodyTheGrace() {
        LoopSnapshot device = bench.create();
        LoopSnapshot forgotten = bench.create();
        String lease = device.managed().orElseThrow().lease().id();

        // The agent was stopped for twice the ttl.
        bench.ticker.advance(Duration.ofMinutes(2));
        bench.service.reap();
        bench.advance(Bench.GRACE.minusMillis(1));
        assertThat(bench.renew(lease).remaining()).isEqualTo(Duration.ofSeconds(60));
        bench.advance(Duration.ofMillis(2));

        bench.inTime(() -> assertThat(bench.state(forgotten)).isEmpty());
        assertThat(bench.endReason(forgotten)).isEqualTo(EndReason.EXPIRED);
        assertThat(bench.renew(lease).remaining()).isEqualTo(Duration.ofSeconds(60));
        bench.advance(Duration.ofSeconds(59));
        assertThat(bench.state(device)).contains(LoopState.READY);
        bench.advance(Duration.ofSeconds(1));
        bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
    }

    /** The fault guarded: each stall began the grace anew, and on a host that stalls now and then no lease ever ended. */
    @Test
    void stallsDuringTheGraceDoNotPutItOffForEver() {
        LoopSnapshot forgotten = bench.create();
        bench.advance(Duration.ofSeconds(59));

        for (int i = 0; i < 3; i++) {
            bench.ticker.advance(Duration.ofSeconds(2));
            bench.service.reap();
            bench.advance(Bench.GRACE.minusSeconds(2));
        }

        Bench.soon().until(() -> bench.state(forgotten).isEmpty());
        assertThat(bench.endReason(forgotten)).isEqualTo(EndReason.EXPIRED);
    }

    /** What stands still cannot renew: the grace is time in which everybody could. */
    @Test
    void aStallDuringTheGraceDoesNotUseItUp() {
        LoopSnapshot device = bench.create();
        bench.ticker.advance(Duration.ofMinutes(2));
        bench.service.reap();
        bench.advance(Bench.GRACE.dividedBy(2));

        bench.ticker.advance(Duration.ofMinutes(2));
        bench.service.reap();
        bench.advance(Bench.GRACE.dividedBy(2).minusSeconds(1));
        assertThat(bench.state(device)).contains(LoopState.READY);

        bench.advance(Duration.ofSeconds(2));
        bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
    }

    /** The fault guarded: a renewal that had read the clock long ago cut short what a later one had been answered. */
    @Test
    void aRenewalThatStallsDoesNotShortenALaterOne() throws Exception {
        LoopSnapshot device = bench.create();
        String lease = device.managed().orElseThrow().lease().id();
        CompletableFuture<LeaseSnapshot> later = new CompletableFuture<>();
        // The first look at the clock is that for the entity tag.
        bench.ticker.stallHere(2, () -> {
            Thread other = Thread.ofPlatform().start(() -> {
                bench.ticker.advance(Duration.ofSeconds(50));
                later.complete(bench.renew(lease));
            });
            Bench.soon().until(() -> later.isDone() || other.getState() == Thread.State.BLOCKED);
        });

        bench.renew(lease);

        assertThat(later.get().remaining()).isEqualTo(Duration.ofSeconds(60));
        bench.advance(Duration.ofSeconds(59));
        assertThat(bench.state(device)).contains(LoopState.READY);
    }

    /** The fault guarded: the reminder of the later deadline, noted meanwhile, stood in the shorter one's place. */
    @Test
    void aShorterRenewalCountsWhileTheReaperLooks() throws Exception {
        for (int round = 0; round < ROUNDS; round++) {
            LoopSnapshot device = bench.create(Bench.spec(4096), Bench.terms(1));
            String lease = device.managed().orElseThrow().lease().id();
            bench.renew(lease, OptionalLong.of(3600));
            bench.ticker.advance(Duration.ofMillis(999));

            Either<LeaseSnapshot> renewal = race(() -> bench.renew(lease, OptionalLong.of(2)), () -> {
                bench.ticker.advance(Duration.ofMillis(1));
                bench.service.reap();
            });

            assertThat(renewal.refusal()).isNull();
            bench.advance(Duration.ofSeconds(2));
            bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
        }
    }

    @Test
    void oneRenewalKeepsAllDevicesOfALeaseAndTheyEndTogether() {
        LoopService.Group group = bench.service
                .createLease(
                        Bench.terms(60),
                        List.of(Bench.spec(Bench.MIB), Bench.spec(Bench.MIB), Bench.spec(Bench.MIB)),
                        Bench.OWNER,
                        null)
                .value();
        bench.advance(Duration.ofSeconds(50));

        LeaseSnapshot renewed = bench.renew(group.lease().id());

        assertThat(renewed.deviceIds()).hasSize(3);
        bench.advance(Duration.ofSeconds(59));
        assertThat(group.devices())
                .allSatisfy(device -> assertThat(bench.state(device)).contains(LoopState.READY));
        bench.advance(Duration.ofSeconds(1));
        Bench.soon().untilAsserted(() -> assertThat(bench.managed()).isEmpty());
        assertThat(group.devices())
                .allSatisfy(device -> assertThat(bench.endReason(device)).isEqualTo(EndReason.EXPIRED));
        assertThat(bench.bound()).isEmpty();
    }

    @Test
    void noRenewalGoesBeyondTheWholeLife() {
        LeaseSnapshot lease = bench.service
                .createLease(
                        new LeaseTerms(OptionalLong.of(60), OptionalLong.of(100), false, OnExpiry.UNMOUNT, Map.of()),
                        List.of(Bench.spec(Bench.MIB)),
                        Bench.OWNER,
                        null)
                .value()
                .lease();
        bench.advance(Duration.ofSeconds(50));
        assertThat(bench.renew(lease.id()).remaining()).isEqualTo(Duration.ofSeconds(50));
        bench.advance(Duration.ofSeconds(49));
        assertThat(bench.renew(lease.id()).remaining()).isEqualTo(Duration.ofSeconds(1));
        bench.advance(Duration.ofSeconds(1));

        assertThatThrownBy(() -> bench.renew(lease.id())).isInstanceOf(LoopException.Ended.class);
        bench.inTime(() -> assertThat(bench.managed()).isEmpty());
    }

    @Test
    void whatEndedIsToldFromWhatNeverWasForAQuarterOfAnHour() {
        LoopSnapshot deleted = bench.create();
        String lease = deleted.managed().orElseThrow().lease().id();
        LoopSnapshot expired = bench.create();
        bench.deleted(deleted);
        bench.advance(Duration.ofSeconds(60));
        Bench.soon().until(() -> bench.state(expired).isEmpty());

        bench.advance(Duration.ofMinutes(14).minusSeconds(1));
        assertThat(bench.endReason(deleted)).isEqualTo(EndReason.DELETED);
        assertThat(bench.endReason(expired)).isEqualTo(EndReason.EXPIRED);
        assertThatThrownBy(() -> bench.renew(lease))
                .isInstanceOfSatisfying(
                        LoopException.Ended.class,
                        ended -> assertThat(ended.reason()).isEqualTo(EndReason.DELETED));

        bench.advance(Duration.ofMinutes(1).plusSeconds(1));
        assertThatThrownBy(() -> bench.get(deleted)).isInstanceOf(LoopException.NotFound.class);
        assertThatThrownBy(() -> bench.renew(lease)).isInstanceOf(LoopException.NotFound.class);
    }

    /** The fault guarded: each lease of which nobody had heard pushed out the end of one that somebody may ask for. */
    @Test
    void whatWasNeverMadePushesNoEndOut() {
        LoopSnapshot device = bench.create();
        String lease = device.managed().orElseThrow().lease().id();
        bench.deleted(device);
        LoopSpec impossible = Bench.reuse(bench.home.resolve("missing"), true);

        for (int i = 0; i <= Endings.AT_MOST; i++) {
            assertThatThrownBy(() -> bench.create(impossible, Bench.terms(60)))
                    .isInstanceOf(LoopException.Invalid.class);
        }

        assertThatThrownBy(() -> bench.getLease(lease)).isInstanceOf(LoopException.Ended.class);
    }

    /** The fault guarded: between its entry's end and its ending's beginning an id was one that never was, 404. */
    @Test
    void whatEndsIsThereOrHasEndedAtEveryMoment() throws Exception {
        for (int round = 0; round < ROUNDS / 4; round++) {
            LoopSnapshot device = bench.create(Bench.spec(4096), Bench.terms(60));
            String lease = device.managed().orElseThrow().lease().id();
            Either<Integer> looks = race(
                    () -> {
                        int seen = 0;
                        while (bench.state(device).isPresent()) {
                            // A look at the device opens it. All the time, it would be in use.
                            for (int look = 0; look < 100; look++) {
                                seen += isThere(lease) ? 1 : 0;
                            }
                        }
                        return seen;
                    },
                    () -> bench.deleted(device));
            assertThat(looks.refusal()).isNull();
        }
    }

    /** Throws what is neither: a lease that never was. */
    private boolean isThere(String lease) {
        try {
            bench.getLease(lease);
            return true;
        } catch (LoopException.Ended e) {
            return false;
        }
    }
}
