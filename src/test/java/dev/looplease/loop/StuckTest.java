package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.FaultyLosetup.Fault;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A device whose clean-up fails again and again is never forgotten, and in nobody's way. */
@KernelTest
class StuckTest {

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

    private void becomeStuck(LoopSnapshot device) {
        bench.losetup.breakEvery("handle.clear"::equals, Fault.FAILS);
        assertThat(bench.force(device)).isInstanceOf(LoopService.Release.Pending.class);
        bench.inTime(() -> assertThat(bench.state(device)).contains(LoopState.STUCK));
    }

    private long tries(LoopSnapshot device) {
        return bench.events.stream()
                .filter(event -> event.type() == LoopEvent.Type.DEVICE_STUCK
                        && device.requiredId().equals(event.deviceId()))
                .count();
    }

    @Test
    void isListedCountedAndChargedAndEndsWhenTheFaultDoes() {
        LoopSnapshot device = bench.create();
        becomeStuck(device);

        assertThat(tries(device)).as("told once").isEqualTo(1);
        assertThat(bench.managed())
                .singleElement()
                .satisfies(listed -> assertThat(listed.requiredId()).isEqualTo(device.requiredId()));
        assertThat(bench.service.count(LoopState.STUCK)).isEqualTo(1);
        assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(1, Bench.MIB));
        assertThat(bench.imageFiles()).hasSize(1);
        assertThatThrownBy(() -> bench.attach(device)).isInstanceOf(LoopException.WrongState.class);

        bench.losetup.heal();
        bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
        assertThat(bench.endReason(device)).isEqualTo(EndReason.DELETED);
        assertThat(bench.service.usage()).isEqualTo(new LoopRegistry.Usage(0, 0));
        assertThat(bench.bound()).isEmpty();
        assertThat(bench.imageFiles()).isEmpty();
    }

    /** The fault guarded: it was counted, and nobody could see it, nor order another try. */
    @Test
    void isSeenAlthoughItWasNeverReady() {
        bench.losetup.before("attach", () -> chattr("+i"));
        bench.afterwards(() -> chattr("-i"));
        bench.losetup.breakEvery("attach"::equals, Fault.FAILS);
        assertThatThrownBy(bench::create).isInstanceOf(LoopException.KernelFailure.class);
        bench.losetup.heal();
        assertThat(bench.managed()).isEmpty();

        bench.inTime(() -> assertThat(bench.service.count(LoopState.STUCK)).isEqualTo(1));

        LoopSnapshot stuck = bench.managed().getFirst();
        assertThat(bench.state(stuck)).contains(LoopState.STUCK);
        assertThat(bench.force(stuck)).isInstanceOf(LoopService.Release.Pending.class);
        chattr("-i");
        bench.deleted(stuck);
        assertThat(bench.endReason(stuck)).isEqualTo(EndReason.DELETED);
    }

    /** Whether the only image can be deleted. */
    private void chattr(String how) {
        bench.imageFiles().forEach(image -> Bench.run("chattr", how, image.toString()));
    }

    @Test
    void isTriedOnceAMinute() {
        LoopSnapshot device = bench.create();
        becomeStuck(device);

        for (int minute = 0; minute < 3; minute++) {
            int before = bench.losetup.brokenCalls();
            bench.advance(Duration.ofSeconds(61));
            // The last attempt may have been under way while time went on: then the next is a minute after its end.
            bench.inTime(() -> assertThat(bench.losetup.brokenCalls()).isGreaterThan(before));
            assertThat(bench.losetup.brokenCalls()).isLessThanOrEqualTo(before + 2);
        }
    }

    @Test
    void isTriedAtOnceByAnotherDelete() {
        LoopSnapshot device = bench.create();
        becomeStuck(device);
        assertThat(bench.delete(device)).isInstanceOf(LoopService.Release.Pending.class);

        bench.losetup.heal();

        bench.deleted(device);
    }

    @Test
    void isStuckOrGoneAfterARestart() throws IOException {
        LoopSnapshot device = bench.create();
        becomeStuck(device);

        bench.restart();
        assertThat(bench.managed()).hasSize(1);
        bench.inTime(() -> assertThat(bench.service.count(LoopState.STUCK)).isEqualTo(1));

        bench.losetup.heal();
        bench.inTime(() -> assertThat(bench.managed()).isEmpty());
        assertThat(bench.imageFiles()).isEmpty();
    }

    /** The fault guarded: releases waited for other calls to the same devices, each on one of the sixteen threads. */
    @Test
    void delaysNoOther() throws Exception {
        LeaseSnapshot lease = bench.lease(60);
        List<LoopSnapshot> devices = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            devices.add(bench.create(lease.id()));
        }
        LoopSnapshot failing = devices.get(3);
        bench.losetup.breakDetachOf(failing.observed().orElseThrow().number(), Fault.FAILS);
        List<LoopSnapshot> hanging = devices.subList(10, 30);
        List<Thread> callers = new ArrayList<>();
        for (LoopSnapshot device : hanging) {
            bench.losetup.breakDetachOf(device.observed().orElseThrow().number(), Fault.HANGS);
            callers.add(Thread.ofPlatform().start(() -> bench.detach(device)));
            assertThat(bench.losetup.awaitHanging()).isTrue();
        }

        assertThat(bench.endLease(lease.id())).isFalse();

        Bench.soon().until(() -> bench.managed().size() == 21);
        assertThat(bench.state(failing)).contains(LoopState.RELEASING);
        bench.losetup.heal();
        for (Thread caller : callers) {
            caller.join();
        }
        bench.inTime(() -> assertThat(bench.managed()).isEmpty());
    }

    /** The fault guarded: sixteen that hang in the kernel, their images on a dead server, ended all other releases. */
    @Test
    void thatHangsDelaysNoOther() {
        LeaseSnapshot lease = bench.lease(60);
        for (int i = 0; i < 20; i++) {
            int number = bench.create(lease.id()).observed().orElseThrow().number();
            bench.losetup.breakDetachOf(number, Fault.HANGS);
        }
        LoopSnapshot last = bench.create(lease.id());

        bench.advance(Duration.ofSeconds(61));

        // Sooner than a hang of the bench ends by itself.
        Bench.soon().atMost(Duration.ofSeconds(12)).untilAsserted(() -> {
            bench.advance(Duration.ofMillis(500));
            assertThat(bench.state(last)).isEmpty();
        });
        assertThat(bench.managed()).hasSize(20);
        bench.losetup.heal();
        bench.inTime(() -> assertThat(bench.managed()).isEmpty());
    }

    /** The fault guarded: an Error ended the reaper, or what the one lease had before it. */
    @Test
    void leasesEndAfterAnError() {
        List<LoopSnapshot> devices = List.of(bench.create(), bench.create(), bench.create());
        bench.failNextEvent(new OutOfMemoryError("unable to create native thread"));

        bench.advance(Duration.ofSeconds(61));

        for (LoopSnapshot device : devices) {
            bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
        }
    }

    /** An hour of waiting for a process, looked at three times a second. */
    @Test
    void isNeverWhoOnlyWaitsForALastClose() throws IOException {
        LoopSnapshot device = bench.create();
        Process opener = bench.opener(Path.of(Bench.node(device)));
        assertThat(bench.force(device)).isInstanceOf(LoopService.Release.Pending.class);

        for (int minute = 0; minute < 60; minute++) {
            bench.advance(Duration.ofMinutes(1));
            assertThat(bench.state(device)).contains(LoopState.RELEASING);
        }

        Bench.end(opener);
        bench.advance(Duration.ofSeconds(1));
        bench.inTime(() -> assertThat(bench.state(device)).isEmpty());
        assertThat(tries(device)).isZero();
    }
}
