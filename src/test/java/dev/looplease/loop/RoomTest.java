package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.image.Allocation;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How much is lent at most; what is promised counts in full, and comes back to the last byte. */
@KernelTest
class RoomTest {

    @TempDir
    private Path home;

    private Bench bench(int devices, long totalBytes) throws IOException {
        return new Bench(home, Backend.IOCTL, Bench.limits(devices, OptionalLong.of(totalBytes)));
    }

    private static Duration isFull(ThrowingCallable call) {
        Duration[] retryAfter = new Duration[1];
        assertThatExceptionOfType(LoopException.CapacityExhausted.class)
                .isThrownBy(call)
                .satisfies(full -> retryAfter[0] = full.retryAfter());
        return retryAfter[0];
    }

    private static LoopRegistry.Usage used(int devices, long mib) {
        return new LoopRegistry.Usage(devices, mib * Bench.MIB);
    }

    @Test
    void countsDevicesDetachedOnesIncluded() throws IOException {
        try (Bench bench = bench(2, 1L << 40)) {
            bench.detach(bench.create());
            LoopSnapshot second = bench.create(Bench.spec(Bench.MIB), Bench.terms(30));
            bench.advance(Duration.ofSeconds(10));

            assertThat(isFull(bench::create)).as("until the first lease ends").isEqualTo(Duration.ofSeconds(20));
            assertThat(bench.service.usage()).isEqualTo(used(2, 2));
            assertThat(bench.imageFiles()).hasSize(2);

            bench.deleted(second);
            bench.create();
            isFull(bench::create);
        }
    }

    @Test
    void countsSparseImagesInFull() throws IOException {
        try (Bench bench = bench(100, 10L * Bench.MIB)) {
            LoopSnapshot sparse = bench.create(Bench.spec(6 * Bench.MIB), Bench.terms(60));
            LoopSnapshot full = bench.create(Bench.spec(3 * Bench.MIB, null, Allocation.FULL), Bench.terms(60));
            assertThat(bench.service.usage()).isEqualTo(used(2, 9));

            isFull(() -> bench.create(Bench.spec(Bench.MIB + 512), Bench.terms(60)));
            isFull(() -> bench.resize(full, 4 * Bench.MIB + 512));
            assertThat(bench.service.usage()).isEqualTo(used(2, 9));
            bench.resize(full, 4 * Bench.MIB);
            assertThat(bench.service.usage()).isEqualTo(used(2, 10));
            isFull(bench::create);

            bench.deleted(sparse);
            assertThat(bench.service.usage()).isEqualTo(used(1, 4));
            bench.deleted(full);
            assertThat(bench.service.usage()).isEqualTo(used(0, 0));
        }
    }

    @Test
    void aGroupThatDoesNotFitTakesNothing() throws IOException {
        try (Bench bench = bench(3, 1L << 40)) {
            bench.create();
            LoopSpec spec = Bench.spec(Bench.MIB);

            isFull(() -> bench.service.createLease(Bench.terms(60), List.of(spec, spec, spec), Bench.OWNER, null));

            bench.inTime(() -> assertThat(bench.service.usage()).isEqualTo(used(1, 1)));
            assertThat(bench.bound()).hasSize(1);
            assertThat(bench.leases()).hasSize(1);
        }
    }

    /** The fault guarded: a lease without devices cost nothing, and enough of them filled the memory. */
    @Test
    void countsLeasesThatAreNotADevicesOwn() throws IOException {
        try (Bench bench = bench(2, 1L << 40)) {
            LeaseSnapshot first = bench.lease(60);
            bench.lease(30);
            assertThat(isFull(() -> bench.lease(60)))
                    .as("until the first one ends")
                    .isEqualTo(Duration.ofSeconds(30));
            bench.deleted(bench.create());
            bench.deleted(bench.create(first.id()));

            bench.restart();
            isFull(() -> bench.lease(60));
            bench.endLease(first.id());
            bench.lease(60);
            isFull(() -> bench.createGroup(1));
        }
    }

    @Test
    void whatFailsGivesItsRoomBack() throws IOException {
        try (Bench bench = bench(3, 3L * Bench.MIB)) {
            Path missing = bench.home.resolve("missing/file");
            for (int i = 0; i < 10; i++) {
                assertThatThrownBy(
                                () -> bench.create(Bench.spec(Bench.MIB, missing, Allocation.SPARSE), Bench.terms(60)))
                        .isInstanceOf(LoopException.Invalid.class);
            }
            assertThat(bench.service.usage()).isEqualTo(used(0, 0));
        }
    }

    /** A device on its way out is still there, and so is its room. */
    @Test
    void whatIsBeingReleasedIsStillCharged() throws IOException {
        try (Bench bench = bench(1, 1L << 40)) {
            LoopSnapshot device = bench.create();
            Process opener = bench.opener(Path.of(Bench.node(device)));
            bench.force(device);

            assertThat(isFull(bench::create)).isPositive();
            Bench.end(opener);
            bench.inTime(() -> assertThat(bench.service.usage()).isEqualTo(used(0, 0)));
            bench.create();
        }
    }

    @Test
    void neverLendsMoreHoweverManyAskAtOnce() throws IOException {
        try (Bench bench = bench(5, 1L << 40)) {
            AtomicInteger made = new AtomicInteger();
            CompletableFuture<?>[] clients = IntStream.range(0, 8)
                    .mapToObj(client -> CompletableFuture.runAsync(
                            () -> {
                                for (int i = 0; i < 20; i++) {
                                    try {
                                        LoopSnapshot device = bench.create();
                                        made.incrementAndGet();
                                        assertThat(bench.service.usage().devices())
                                                .isLessThanOrEqualTo(5);
                                        bench.deleted(device);
                                    } catch (LoopException.CapacityExhausted full) {
                                        assertThat(full.retryAfter()).isGreaterThanOrEqualTo(Duration.ofSeconds(1));
                                    }
                                }
                            },
                            task -> Thread.ofPlatform().start(task)))
                    .toArray(CompletableFuture[]::new);
            CompletableFuture.allOf(clients).join();

            assertThat(made).hasPositiveValue();
            assertThat(bench.service.usage()).isEqualTo(used(0, 0));
        }
    }
}
