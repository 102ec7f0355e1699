package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.journal.Durability;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.FaultyLosetup.Fault;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import dev.looplease.losetup.Losetups;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * A loop driver that fails, hangs or lies at its first, second, third … call, in each thing that a client can do. No
 * success is answered that is none, and when the fault is over nothing is left.
 */
@KernelTest
class FaultyLosetupTest {

    private static final int MORE_THAN_ANYTHING_TAKES = 200;

    /** What a client does with a device, and what must be so if it was told that it is done. */
    enum Act {
        CREATE {
            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return bench.create();
            }
        },
        /** All or none, and it is there exactly when its client is told so. */
        CREATE_GROUP {
            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                List<LoopSnapshot> devices = bench.createGroup(2).devices();
                assertThat(devices).hasSize(2);
                return devices.getLast();
            }
        },
        GROW {
            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return bench.resize(device, 2 * Bench.MIB);
            }
        },
        SECTOR_SIZE {
            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return bench.setSectorSize(device, 4096);
            }
        },
        DETACH {
            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return bench.detach(device);
            }
        },
        ATTACH {
            @Override
            void before(Bench bench, LoopSnapshot device) {
                bench.detached(device);
            }

            @Override
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return bench.attach(device);
            }
        },
        DELETE {
            @Override
            @Nullable
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return left(bench.delete(device));
            }
        },
        /** Somebody has it open: 409, and it must still be attached when they close it. */
        DELETE_IN_USE {
            @Override
            void before(Bench bench, LoopSnapshot device) throws IOException {
                bench.opener(Path.of(Bench.node(device)));
            }

            @Override
            @Nullable
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return left(bench.delete(device));
            }
        },
        FORCE_MOUNTED {
            @Override
            void before(Bench bench, LoopSnapshot device) throws IOException {
                bench.mounted(device);
            }

            @Override
            @Nullable
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                return left(bench.force(device));
            }
        },
        EXPIRE {
            @Override
            @Nullable
            LoopSnapshot on(Bench bench, LoopSnapshot device) {
                bench.advance(Duration.ofSeconds(61));
                bench.inTime(() -> assertThat(bench.service.usage().devices()).isZero());
                return null;
            }
        };

        void before(Bench bench, LoopSnapshot device) throws IOException {}

        /** Returns what is left of the device by the answer; null for nothing. */
        abstract @Nullable LoopSnapshot on(Bench bench, LoopSnapshot device);

        static @Nullable LoopSnapshot left(LoopService.Release release) {
            return release instanceof LoopService.Release.Pending pending ? pending.device() : null;
        }
    }

    @TempDir
    private Path home;

    @ParameterizedTest
    @CsvSource({
        "CREATE, FAILS",
        "CREATE, FAILS_AFTER_ITS_EFFECT",
        "CREATE, LIES",
        "CREATE, RETURNS_NONSENSE",
        "CREATE_GROUP, FAILS",
        "CREATE_GROUP, FAILS_AFTER_ITS_EFFECT",
        "CREATE_GROUP, LIES",
        "CREATE_GROUP, RETURNS_NONSENSE",
        "GROW, FAILS",
        "GROW, FAILS_AFTER_ITS_EFFECT",
        "GROW, LIES",
        "GROW, RETURNS_NONSENSE",
        "SECTOR_SIZE, FAILS",
        "SECTOR_SIZE, FAILS_AFTER_ITS_EFFECT",
        "SECTOR_SIZE, LIES",
        "SECTOR_SIZE, RETURNS_NONSENSE",
        "DETACH, FAILS",
        "DETACH, FAILS_AFTER_ITS_EFFECT",
        "DETACH, LIES",
        "DETACH, RETURNS_NONSENSE",
        "ATTACH, FAILS",
        "ATTACH, FAILS_AFTER_ITS_EFFECT",
        "ATTACH, LIES",
        "ATTACH, RETURNS_NONSENSE",
        "DELETE, FAILS",
        "DELETE, FAILS_AFTER_ITS_EFFECT",
        "DELETE, LIES",
        "DELETE, RETURNS_NONSENSE",
        "DELETE_IN_USE, FAILS",
        "DELETE_IN_USE, FAILS_AFTER_ITS_EFFECT",
        "DELETE_IN_USE, LIES",
        "DELETE_IN_USE, RETURNS_NONSENSE",
        "FORCE_MOUNTED, FAILS",
        "FORCE_MOUNTED, FAILS_AFTER_ITS_EFFECT",
        "FORCE_MOUNTED, LIES",
        "FORCE_MOUNTED, RETURNS_NONSENSE",
        "EXPIRE, FAILS",
        "EXPIRE, FAILS_AFTER_ITS_EFFECT",
        "EXPIRE, LIES",
        "EXPIRE, RETURNS_NONSENSE"
    })
    void oneCallGoesWrong(Act act, Fault fault) throws IOException {
        oneCallGoesWrong(act, fault, Backend.IOCTL);
    }

    private void oneCallGoesWrong(Act act, Fault fault, Backend backend) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            for (int nth = 1; nth < MORE_THAN_ANYTHING_TAKES; nth++) {
                if (!goesWrongAt(act, fault, nth, bench)) {
                    assertThat(nth).as("something was broken").isGreaterThan(1);
                    return;
                }
            }
        }
        throw new AssertionError("calls without end");
    }

    /** The same with the command, where no tag tells whose an attachment is. */
    @ParameterizedTest
    @CsvSource({
        "CREATE, FAILS_AFTER_ITS_EFFECT", "CREATE, RETURNS_NONSENSE",
        "ATTACH, FAILS_AFTER_ITS_EFFECT", "ATTACH, RETURNS_NONSENSE",
        "DELETE_IN_USE, FAILS_AFTER_ITS_EFFECT"
    })
    void oneCallGoesWrongWithLosetup(Act act, Fault fault) throws IOException {
        oneCallGoesWrong(act, fault, Backend.LOSETUP);
    }

    /** Returns whether it came to that call at all. */
    private static boolean goesWrongAt(Act act, Fault fault, int nth, Bench bench) throws IOException {
        LoopSnapshot device = bench.create();
        act.before(bench, device);
        bench.losetup.breakCall(nth, fault);
        LoopSnapshot answered = null;
        LoopException refused = null;
        try {
            answered = act.on(bench, device);
        } catch (LoopException e) {
            refused = e;
        }
        String broken = bench.losetup.broken();
        bench.losetup.heal();
        if (refused != null) {
            assertNothingChanged(act, bench, device, broken);
        } else if (answered == null) {
            assertThat(bench.bound()).as("gone, with a broken %s", broken).isEmpty();
            assertThat(bench.imageFiles()).as("gone, with a broken %s", broken).isEmpty();
        } else if (act != Act.FORCE_MOUNTED) {
            assertTrue(act, answered, bench.get(answered), broken);
        }
        bench.inTime(() -> assertRecordsAndKernelAgree(bench));
        bench.undo();
        bench.giveEverythingBack();
        return !broken.isEmpty();
    }

    /** What was answered is what is so. */
    private static void assertTrue(Act act, LoopSnapshot answered, LoopSnapshot now, String broken) throws IOException {
        assertThat(answered.managed().orElseThrow().state())
                .as("%s with a broken %s", act, broken)
                .isEqualTo(now.managed().orElseThrow().state());
        Optional<LoopDevice> kernel = now.observed();
        switch (act) {
            case GROW ->
                assertThat(kernel.orElseThrow().sizeBytes())
                        .as("a broken %s", broken)
                        .isEqualTo(2L * Bench.MIB);
            case SECTOR_SIZE ->
                assertThat(kernel.orElseThrow().sectorSize())
                        .as("a broken %s", broken)
                        .isEqualTo(4096);
            case DETACH -> assertThat(kernel).as("a broken %s", broken).isEmpty();
            case CREATE, CREATE_GROUP, ATTACH -> {
                LoopDevice device = answered.observed().orElseThrow();
                assertThat(device.identity()).isEqualTo(kernel.orElseThrow().identity());
                assertThat(device.sizeBytes()).isEqualTo(Bench.MIB);
                assertThat(device.sectorSize()).isEqualTo(512);
            }
            default -> {}
        }
    }

    /** What was refused has changed nothing; only where the fault came after all was done, it is done. */
    private static void assertNothingChanged(Act act, Bench bench, LoopSnapshot device, String broken) {
        switch (act) {
            case CREATE, CREATE_GROUP ->
                bench.inTime(() -> {
                    assertThat(bench.managed()).as("a broken %s", broken).hasSize(1);
                    assertThat(bench.leases()).as("a broken %s", broken).hasSize(1);
                });
            case GROW -> {
                LoopSnapshot now = bench.get(device);
                long size = now.observed().orElseThrow().sizeBytes();
                assertThat(size).as("a broken %s", broken).isIn((long) Bench.MIB, 2L * Bench.MIB);
                assertThat(Bench.image(now)).as("a broken %s", broken).hasSize(size);
                assertThat(bench.service.usage().promisedBytes())
                        .as("a broken %s", broken)
                        .isEqualTo(size);
            }
            case SECTOR_SIZE -> {
                LoopSnapshot now = bench.get(device);
                assertThat(now.observed().orElseThrow().sectorSize())
                        .as("a broken %s", broken)
                        .isEqualTo(now.managed().orElseThrow().sectorSize());
            }
            case DELETE_IN_USE -> {
                LoopDevice now = bench.get(device).observed().orElseThrow();
                assertThat(now.autoclear()).as("a broken %s", broken).isFalse();
                assertThat(bench.state(device)).contains(LoopState.READY);
            }
            default -> assertThat(bench.state(device)).as("a broken %s", broken).isPresent();
        }
    }

    private static void assertRecordsAndKernelAgree(Bench bench) {
        List<String> attached = bench.managed().stream()
                .flatMap(device -> device.observed().stream())
                .map(device -> device.name() + " " + device.backingFile())
                .sorted()
                .toList();
        assertThat(bench.bound()).isEqualTo(attached);
    }

    /** A start into which the fault falls: what lives goes on, what ends ends, what is detached stays so. */
    @ParameterizedTest
    @CsvSource({
        "IOCTL, FAILS",
        "IOCTL, FAILS_AFTER_ITS_EFFECT",
        "IOCTL, LIES",
        "IOCTL, RETURNS_NONSENSE",
        "LOSETUP, FAILS",
        "LOSETUP, LIES",
        "LOSETUP, RETURNS_NONSENSE"
    })
    void oneCallOfARecoveryGoesWrong(Backend backend, Fault fault) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            for (int nth = 1; nth < MORE_THAN_ANYTHING_TAKES; nth++) {
                if (!recoversFromAFaultAt(nth, fault, bench)) {
                    assertThat(nth).as("something was broken").isGreaterThan(3);
                    return;
                }
            }
        }
        throw new AssertionError("calls without end");
    }

    private static boolean recoversFromAFaultAt(int nth, Fault fault, Bench bench) throws IOException {
        LoopSnapshot lives = bench.create();
        LoopSnapshot detached = bench.create();
        bench.detached(detached);
        LoopSnapshot ends = bench.create();
        LoopDevice ending = ends.observed().orElseThrow();
        bench.losetup.breakDetachOf(ending.number(), Fault.FAILS);
        assertThat(bench.force(ends)).isInstanceOf(LoopService.Release.Pending.class);

        try {
            bench.restart(() -> {
                bench.losetup.heal();
                bench.losetup.breakCall(nth, fault);
            });
        } catch (LoopException notYet) {
            bench.service.recover();
        }
        bench.inTime(() -> assertThat(bench.state(ends)).isEmpty());

        String broken = bench.losetup.broken();
        bench.losetup.heal();
        assertThat(bench.get(lives).observed().map(LoopDevice::identity))
                .as("a broken %s", broken)
                .isEqualTo(lives.observed().map(LoopDevice::identity));
        assertThat(bench.state(detached)).as("a broken %s", broken).contains(LoopState.DETACHED);
        assertThat(bench.imageFiles()).hasSize(2);
        assertRecordsAndKernelAgree(bench);
        bench.giveEverythingBack();
        return !broken.isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"numbers", "list", "unlistedImages"})
    void aKernelThatCannotBeReadAtTheStartChangesNothing(String call) throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot device = bench.create();
            bench.journal().put("device/nonsense", new byte[0], Durability.MEMORY);
            bench.losetup.breakEvery(call::equals, Fault.FAILS);

            assertThatThrownBy(bench::restart).isInstanceOf(LoopException.KernelFailure.class);
            assertThatThrownBy(bench.service::recover).isInstanceOf(LoopException.KernelFailure.class);

            bench.losetup.heal();
            assertThat(bench.service.recover()).isEqualTo(new Recovery.Report(1, 0, 0, 0, 0, 1, 0));
            assertThat(bench.get(device).observed().map(LoopDevice::identity))
                    .isEqualTo(device.observed().map(LoopDevice::identity));
        }
    }

    /** Neither in the list nor known to be gone: nobody can tell. */
    @Test
    void whatTheKernelCannotBeAskedAboutIsLeftAloneAndCounted() throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot device = bench.create();
            bench.losetup.failDisk(bench.home);
            bench.losetup.breakEvery("isBound"::equals, Fault.FAILS);

            assertThat(bench.restart()).isEqualTo(new Recovery.Report(0, 0, 0, 0, 0, 0, 1));

            bench.losetup.heal();
            bench.advance(Duration.ofMinutes(2));
            assertThat(bench.bound()).hasSize(1);
            assertThat(bench.imageFiles()).hasSize(1);
            assertThat(bench.restart().ended()).isEqualTo(1);
            bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
        }
    }

    /** Whoever hangs delays only who wants the same device, and what it began is finished. */
    @ParameterizedTest
    @EnumSource
    void oneCallHangs(Act act) throws Exception {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            for (int nth = 1; nth < MORE_THAN_ANYTHING_TAKES; nth++) {
                LoopSnapshot device = bench.create();
                act.before(bench, device);
                bench.losetup.breakCall(nth, Fault.HANGS);
                CompletableFuture<@Nullable LoopSnapshot> hangs = CompletableFuture.supplyAsync(
                        () -> act.on(bench, device), task -> Thread.ofPlatform().start(task));
                boolean hung = awaitHangingOrDone(bench, hangs);
                if (hung) {
                    bench.deleted(bench.create());
                    assertThat(bench.losetup.isHanging())
                            .as("others are served while %s hangs", bench.losetup.broken())
                            .isTrue();
                }
                String broken = bench.losetup.broken();
                bench.losetup.heal();
                assertAsIfNothingHadHung(act, bench, device, hangs, broken);
                bench.undo();
                bench.giveEverythingBack();
                if (!hung) {
                    return;
                }
            }
        }
    }

    private static void assertAsIfNothingHadHung(
            Act act, Bench bench, LoopSnapshot device, CompletableFuture<@Nullable LoopSnapshot> hung, String broken)
            throws Exception {
        LoopSnapshot answered;
        try {
            answered = hung.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            assertThat(act).as("a broken %s", broken).isEqualTo(Act.DELETE_IN_USE);
            assertThat(e).hasCauseInstanceOf(LoopException.DeviceBusy.class);
            assertNothingChanged(act, bench, device, broken);
            return;
        }
        assertThat(act).as("a broken %s", broken).isNotEqualTo(Act.DELETE_IN_USE);
        if (answered == null) {
            Bench.soon().untilAsserted(() -> assertThat(bench.state(device)).isEmpty());
        } else if (act != Act.FORCE_MOUNTED) {
            assertTrue(act, answered, bench.get(answered), broken);
        }
    }

    private static boolean awaitHangingOrDone(Bench bench, CompletableFuture<?> call) throws ExecutionException {
        Bench.soon().until(() -> call.isDone() || !bench.losetup.broken().isEmpty());
        return !bench.losetup.broken().isEmpty();
    }

    /** The driver is gone altogether for a while: everything is refused, nothing is lost, and it goes on as before. */
    @ParameterizedTest
    @CsvSource({"FAILS", "LIES"})
    void everyCallGoesWrongForAWhile(Fault fault) throws IOException, LosetupException {
        Losetup real = Losetups.select(Backend.IOCTL);
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            LoopSnapshot device = bench.create();
            LoopSnapshot ending = bench.create();
            bench.losetup.breakEvery(call -> call.startsWith("handle") || call.equals("attach"), fault);

            for (int i = 0; i < 3; i++) {
                assertRefused(bench::create);
                assertRefused(() -> bench.detach(device));
                assertThat(bench.force(ending)).isInstanceOf(LoopService.Release.Pending.class);
            }
            bench.losetup.heal();

            assertThat(real.isBound(device.observed().orElseThrow().identity())).isTrue();
            bench.inTime(() -> assertThat(bench.managed()).hasSize(1));
            assertThat(bench.state(device)).contains(LoopState.READY);
            bench.detach(device);
        }
    }

    private static void assertRefused(Runnable act) {
        try {
            act.run();
        } catch (LoopException expected) {
            return;
        }
        throw new AssertionError("a success that is none");
    }
}
