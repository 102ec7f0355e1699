package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.FaultyLosetup.Fault;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The disk of an image fails, and the kernel cannot tell any more which file a device is bound to. The faults guarded: such
 * a device, missing in the list of all, was taken for detached: its image was deleted below it, and nobody's it stayed.
 */
@KernelTest
class FailedDiskTest {

    @TempDir
    private Path temporary;

    private Path home;

    @BeforeEach
    void makeHome() throws IOException {
        home = Files.createDirectory(temporary.toRealPath().resolve("home"));
    }

    @AfterEach
    void removeWhatAFailedTestLeft() throws Exception {
        Leftovers.remove(temporary.toRealPath());
    }

    private Ground start(Backend backend) throws IOException {
        return Ground.start(home, backend);
    }

    private Disk disk() throws IOException {
        return Disk.xfs(temporary.toRealPath(), Ground.root(home).resolve("disk"));
    }

    private Path image() {
        return Ground.root(home).resolve("disk/image.raw");
    }

    private String createOnDisk(Ground ground) {
        return Operation.create(ground, Operation.spec(Ground.root(home).resolve("disk/image.raw"), false), null);
    }

    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void anAttachedDeviceStaysAttachedOnRecordToo(Backend backend) throws IOException {
        try (Disk disk = disk()) {
            String id;
            try (Ground ground = start(backend)) {
                id = createOnDisk(ground);
            }
            disk.fail();

            try (Ground ground = start(backend)) {
                assertThat(ground.report).isEqualTo(new Recovery.Report(1, 0, 0, 0, 0, 0, 0));
                assertThat(ground.service.count(LoopState.READY)).isEqualTo(1);
                assertThatThrownBy(() ->
                                ground.service.delete(new DeviceRef.Id(id), Operation.ANY, false, Operation.OWNER))
                        .isInstanceOf(LoopException.KernelFailure.class);
                assertThat(ground.records().devices().values())
                        .extracting(DeviceRecord::attachment)
                        .doesNotContainNull()
                        .hasSize(1);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void aReleaseGoesOnWhenTheDiskIsBack(Backend backend) throws IOException {
        try (Disk disk = disk()) {
            String lease;
            try (Ground ground = start(backend)) {
                lease = Operation.lease(ground, createOnDisk(ground)).id();
                disk.fail();
                assertThat(ground.service.endLease(lease, Operation.ANY, Operation.OWNER))
                        .isFalse();
            }

            try (Ground ground = start(backend)) {
                assertThat(ground.report.ended()).isEqualTo(1);
                assertThat(Bench.boundBelow(home)).hasSize(1);
                assertThat(ground.service.usage().devices()).isEqualTo(1);
            }
            disk.replace();
            try (Ground ground = start(backend)) {
                Truth.soon().until(() -> ground.service.usage().devices() == 0);
                assertThat(image()).doesNotExist();
                assertThat(ground.journal.live()).isEmpty();
            }
        }
    }

    /** The list was an error for everybody. */
    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void theOthersAreListedAndItIsAsFarAsItIsKnown(Backend backend) throws IOException {
        try (Disk disk = disk();
                Ground ground = start(backend)) {
            String attached = createOnDisk(ground);
            String other = Operation.create(ground, Operation.spec(null, false), null);
            disk.fail();

            List<LoopSnapshot> listed = Truth.devices(ground);

            assertThat(listed).extracting(LoopSnapshot::requiredId).containsExactlyInAnyOrder(attached, other);
            assertThat(listed).extracting(Truth::state).containsOnly(LoopState.READY);
            assertThat(listed).noneMatch(LoopSnapshot::backingFileDeleted);
        }
    }

    // Not mounted

    /** What is not mounted can only be told where the system's own filesystem is seen instead. */
    private void assumeHomeIsOnTheSystemsDisk() throws IOException {
        Path system = Path.of("/");
        assumeTrue(Posix.stat(home).device().equals(Posix.stat(system).device()), "needs " + home + " on " + system);
    }

    /** The fault: what was on a filesystem that is mounted later was on record as lost, and so no more. */
    @Test
    void aDeviceIsNotLostWhoseDiskIsNotMountedYet() throws Exception {
        assumeHomeIsOnTheSystemsDisk();
        try (Disk disk = disk()) {
            DeviceRef device;
            try (Ground ground = startIn("this-boot")) {
                device = new DeviceRef.Id(createOnDisk(ground));
            }
            disk.detachAll();
            disk.unmount();
            for (int start = 0; start < 2; start++) {
                try (Ground ground = startIn("next-boot")) {
                    assertThat(ground.report).isEqualTo(new Recovery.Report(1, 0, 0, 0, 0, 0, 0));
                    assertStaysDetached(ground);
                }
            }
            disk.mount();

            try (Ground ground = startIn("next-boot")) {
                assertThat(ground.report).isEqualTo(new Recovery.Report(0, 1, 0, 0, 0, 0, 0));
                ground.service.detach(device, Operation.ANY, Operation.OWNER);
                disk.unmount();
                assertStaysDetached(ground);
                assertThatThrownBy(() -> ground.service.attach(device, Operation.ANY, Operation.OWNER))
                        .isInstanceOf(LoopException.WrongState.class);
                disk.mount();
                ground.service.attach(device, Operation.ANY, Operation.OWNER);
                ground.service.detach(device, Operation.ANY, Operation.OWNER);

                Files.delete(image());
                compare(ground);

                Truth.soon().until(() -> ground.service.usage().devices() == 0);
            }
        }
    }

    private static void assertStaysDetached(Ground ground) {
        compare(ground);
        await().during(Duration.ofMillis(300)).until(() -> ground.service.count(LoopState.DETACHED) == 1);
    }

    /** As each minute. */
    private static void compare(Ground ground) {
        ground.advance(Duration.ofMinutes(2));
        ground.service.reap();
    }

    @Test
    void anImageIsDeletedOnceItsDiskIsMounted() throws Exception {
        assumeHomeIsOnTheSystemsDisk();
        try (Disk disk = disk();
                Ground ground = startIn("this-boot")) {
            DeviceRef device = new DeviceRef.Id(createOnDisk(ground));
            ground.service.detach(device, Operation.ANY, Operation.OWNER);
            disk.unmount();

            assertThat(ground.service.delete(device, Operation.ANY, false, Operation.OWNER))
                    .isInstanceOf(LoopService.Release.Pending.class);
            disk.mount();

            Truth.soon().until(() -> ground.service.usage().devices() == 0);
            assertThat(image()).doesNotExist();
        }
    }

    private Ground startIn(String boot) throws IOException {
        return Ground.start(home, Backend.IOCTL, boot, Clock.systemUTC(), Ground.GRACE);
    }

    // Attached, and not on record as attached

    /** Returns a device whose attach has succeeded and is not known to have; its release has to wait. */
    private static void attachUnnoticed(Bench bench) {
        bench.losetup.breakEvery("attach"::equals, Fault.FAILS_AFTER_ITS_EFFECT);
        bench.losetup.failDisk(bench.home);
        assertThatThrownBy(bench::create).isInstanceOf(LoopException.KernelFailure.class);
        assertUntouched(bench);
    }

    private static void assertUntouched(Bench bench) {
        assertThat(bench.bound()).hasSize(1);
        assertThat(bench.imageFiles()).hasSize(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"IOCTL", "LOSETUP"})
    void anAttachThatFailedIsUndoneOnceItCanBeRead(Backend backend) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            attachUnnoticed(bench);

            bench.losetup.heal();

            bench.inTime(() -> assertThat(bench.service.usage().devices()).isZero());
            assertThat(bench.bound()).isEmpty();
            assertThat(bench.imageFiles()).isEmpty();
        }
    }

    @ParameterizedTest
    @CsvSource({"IOCTL, true", "IOCTL, false", "LOSETUP, true"})
    void recoveryLeavesAloneWhatMayBeBound(Backend backend, boolean recorded) throws IOException {
        try (Bench bench = new Bench(home, backend)) {
            attachUnnoticed(bench);

            Recovery.Report report = bench.restart(() -> {
                if (!recorded) {
                    Files.delete(home.resolve("state/journal"));
                }
            });

            assertThat(report).isEqualTo(new Recovery.Report(0, 0, 0, 0, 0, 0, 1));
            assertUntouched(bench);
            bench.losetup.heal();
            report = bench.restart();
            assertThat(report.unproven()).isZero();
            bench.inTime(() -> assertThat(bench.service.usage().devices()).isZero());
            assertThat(bench.bound()).isEmpty();
        }
    }
}
