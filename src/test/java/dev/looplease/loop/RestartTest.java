package dev.looplease.loop;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.ForeignDevice;
import dev.looplease.KernelTest;
import dev.looplease.journal.Durability;
import dev.looplease.journal.Journal;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Clock;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What an agent finds when it starts: after a reboot, after a start that died as well, and in a damaged journal. */
@KernelTest
class RestartTest {

    private static final String NEXT_BOOT = "next-boot";

    @TempDir
    private Path temporary;

    private Path home;

    @BeforeEach
    void resolveHome() throws IOException {
        home = temporary.toRealPath();
    }

    @AfterEach
    void removeWhatAFailedTestLeft() throws Exception {
        Leftovers.remove(home);
    }

    private Ground start() throws IOException {
        return Ground.start(home, Backend.IOCTL);
    }

    private Ground startAfterReboot(Duration later) throws IOException {
        return Ground.start(home, Backend.IOCTL, NEXT_BOOT, Clock.offset(Clock.systemUTC(), later), Ground.GRACE);
    }

    private int die(Operation operation, String target, Step at) throws Exception {
        return Victim.run(home, Backend.IOCTL, "this-boot", operation, target, at);
    }

    private static LoopSnapshot device(Ground ground, String id) {
        return ground.service.get(new DeviceRef.Id(id), Operation.OWNER);
    }

    private static LoopState state(Ground ground, String id) {
        return Truth.state(device(ground, id));
    }

    private static String lease(Ground ground, String id) {
        return Operation.lease(ground, id).id();
    }

    private static LoopDevice attached(Ground ground, String id) {
        return device(ground, id).observed().orElseThrow();
    }

    private static Path image(Ground ground, String id) {
        return Path.of(device(ground, id).managed().orElseThrow().image());
    }

    // After a reboot

    @Test
    void attachesAgainAfterARebootWhatLives() throws Exception {
        String ready;
        String detached;
        String expired;
        Path expiredImage;
        try (Ground ground = start()) {
            ready = Operation.create(ground, Operation.spec(), Operation.KEY);
            detached = Operation.create(ground, Operation.spec(), null);
            ground.service.detach(new DeviceRef.Id(detached), Operation.ANY, Operation.OWNER);
            expired = Operation.create(ground, Operation.spec(), null);
            ground.service.renew(lease(ground, expired), Operation.ANY, OptionalLong.of(60), Operation.OWNER);
            expiredImage = image(ground, expired);
        }
        Leftovers.remove(home);

        try (Ground ground = startAfterReboot(Duration.ofMinutes(5))) {
            assertThat(ground.report).isEqualTo(new Recovery.Report(1, 1, 1, 0, 0, 0, 0));
            assertThat(Truth.settled(ground, home)).hasSize(2);
            assertThat(state(ground, ready)).isEqualTo(LoopState.READY);
            assertThat(Bystander.remaining(ground, ready)).as("a fresh ttl").isGreaterThan(590);
            assertThat(state(ground, detached)).isEqualTo(LoopState.DETACHED);
            assertThatThrownBy(() -> device(ground, expired)).isInstanceOf(LoopException.Ended.class);
            assertThat(expiredImage).doesNotExist();
        }
        // The fresh ttl counts from then on, not what was on record before the reboot.
        try (Ground ground = startAfterReboot(Duration.ofMinutes(50))) {
            assertThat(state(ground, ready)).isEqualTo(LoopState.READY);
            assertThat(state(ground, detached)).isEqualTo(LoopState.DETACHED);
            assertThat(Truth.settled(ground, home)).hasSize(2);
            assertThat(ground.service
                            .create(
                                    Operation.spec(),
                                    new LeaseChoice.Own(Operation.terms()),
                                    Operation.OWNER,
                                    Operation.KEY)
                            .value()
                            .requiredId())
                    .as("the key outlives both")
                    .isEqualTo(ready);
            endEverything(ground);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Step.class,
            names = {
                "RECOVERY_LEASE_RECORDED",
                "RECOVERY_DEVICE_KNOWN",
                "ATTACH_OPENED",
                "CREATE_MAPPED",
                "CREATE_ATTACHED",
                "ATTACH_BOUND",
                "RECOVERY_COMPARED"
            })
    void attachesAgainAlthoughTheFirstStartAfterTheRebootDied(Step at) throws Exception {
        String id;
        try (Ground ground = start()) {
            id = Operation.create(ground, Operation.spec(), null);
        }
        Leftovers.remove(home);
        assertThat(Victim.run(home, Backend.IOCTL, NEXT_BOOT, Operation.START, "", at))
                .isEqualTo(Step.HALTED);

        try (Ground ground = startAfterReboot(Duration.ZERO)) {
            assertThat(Truth.settled(ground, home)).hasSize(1);
            assertThat(state(ground, id)).isEqualTo(LoopState.READY);
            endEverything(ground);
        }
    }

    /** The fault: what failed once was on record as detached by its user, and stayed detached. */
    @Test
    void attachesAgainAtTheNextStartWhatSomebodysDeviceKeptFromIt() throws Exception {
        String id;
        LoopDevice before;
        try (Ground ground = start()) {
            id = Operation.create(ground, onNumber(unusedNumber()), null);
            before = attached(ground, id);
        }
        Leftovers.remove(home);
        Path theirs = Files.write(home.resolve("theirs"), new byte[512]);
        Leftovers.run("losetup", before.path(), theirs.toString());
        for (int start = 0; start < 2; start++) {
            try (Ground ground = startAfterReboot(Duration.ZERO)) {
                assertThat(state(ground, id)).isEqualTo(LoopState.DETACHED);
            }
        }
        Leftovers.run("losetup", "--detach", before.path());

        try (Ground ground = startAfterReboot(Duration.ZERO)) {
            assertThat(Truth.settled(ground, home)).hasSize(1);
            assertThat(attached(ground, id).number()).isEqualTo(before.number());
            // By the client it is another thing: it was told that it is detached.
            ground.service.detach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER);
            Leftovers.run("losetup", before.path(), theirs.toString());
            assertThatThrownBy(() -> ground.service.attach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER))
                    .isInstanceOf(LoopException.NameTaken.class);
        }
        Leftovers.run("losetup", "--detach", before.path());
        try (Ground ground = startAfterReboot(Duration.ZERO)) {
            assertThat(state(ground, id)).isEqualTo(LoopState.DETACHED);
            endEverything(ground);
        } finally {
            removeNode(before.number());
        }
    }

    /** Above those that the kernel gives away first. */
    private static int unusedNumber() {
        int number;
        do {
            number = ThreadLocalRandom.current().nextInt(100_000, LoopSpec.HIGHEST_NUMBER);
        } while (Files.exists(Path.of("/sys/block/loop" + number)));
        return number;
    }

    private static void removeNode(int number) throws IOException {
        try (Fd control = Posix.open(Path.of("/dev/loop-control"), Posix.O_RDWR)) {
            Truth.soon().ignoreExceptions().until(() -> Posix.ioctl(control, "LOOP_CTL_REMOVE", 0x4C81, number) >= 0);
        }
    }

    private static LoopSpec onNumber(int number) {
        LoopSpec spec = Operation.spec();
        return new LoopSpec(
                spec.sizeBytes(),
                OptionalInt.of(number),
                spec.imagePath(),
                spec.inDirectory(),
                spec.reuseFile(),
                spec.allocation(),
                spec.offsetBytes(),
                spec.sizeLimitBytes(),
                spec.sectorSize(),
                spec.readOnly(),
                spec.partScan(),
                spec.directIo(),
                spec.labels());
    }

    // After a start that died

    @ParameterizedTest
    @EnumSource(
            value = Step.class,
            names = {"RECOVERY_DEVICE_KNOWN", "RECOVERY_COMPARED", "RECOVERY_ADOPTED", "RELEASE_DETACHED"})
    void recoversFromARecoveryThatDied(Step at) throws Exception {
        Bystander bystander;
        try (Ground ground = start()) {
            bystander = Bystander.of(ground);
        }
        assertThat(die(Operation.CREATE, "", Step.CREATE_LEASE_STARTED)).isEqualTo(Step.HALTED);
        assertThat(die(Operation.START, "", at)).isEqualTo(Step.HALTED);

        try (Ground ground = start()) {
            assertThat(Truth.settled(ground, home)).hasSize(1);
            bystander.assertLives(ground);
            endEverything(ground);
        }
    }

    // While somebody has it open

    @ParameterizedTest
    @EnumSource(
            value = Step.class,
            names = {"TEARDOWN_CLEARED", "TEARDOWN_CLOSED"})
    void takesBackADetachOfADeviceThatIsOpen(Step at) throws Exception {
        String id;
        String node;
        try (Ground ground = start()) {
            id = Operation.create(ground, Operation.spec(), null);
            node = attached(ground, id).path();
        }
        try (RandomAccessFile user = new RandomAccessFile(node, "r")) {
            assertThat(die(Operation.DETACH, id, at)).isEqualTo(Step.HALTED);
            try (Ground ground = start()) {
                assertThat(Truth.settled(ground, home)).hasSize(1);
                assertThat(user.read()).isZero();
            }
        }
        try (Ground ground = start()) {
            assertThat(state(ground, id)).isEqualTo(LoopState.READY);
            endEverything(ground);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Operation.class,
            names = {"DELETE", "EXPIRE"})
    void finishesAReleaseThatWaitsForALastClose(Operation operation) throws Exception {
        String id;
        String node;
        try (Ground ground = start()) {
            id = Operation.create(ground, Operation.spec(), null);
            node = attached(ground, id).path();
        }
        try (Ground next = dieWhileOpen(operation, id, node)) {
            assertThat(Truth.settled(next, home)).isEmpty();
            assertThatThrownBy(() -> device(next, id)).isInstanceOf(LoopException.Ended.class);
        }
    }

    private Ground dieWhileOpen(Operation operation, String id, String node) throws Exception {
        Step at = operation == Operation.DELETE ? Step.TEARDOWN_CLOSED : Step.RELEASE_WAITING;
        try (RandomAccessFile user = new RandomAccessFile(node, "r")) {
            assertThat(die(operation, id, at)).isEqualTo(Step.HALTED);
            Ground next = start();
            assertThat(state(next, id)).isEqualTo(LoopState.RELEASING);
            assertThat(user.read()).isZero();
            return next;
        }
    }

    // In a damaged journal

    @Test
    void setsAsideWhatMeansNothingAndGoesOn() throws Exception {
        Bystander bystander;
        String damaged;
        Path orphan;
        try (Ground ground = start()) {
            bystander = Bystander.of(ground);
            damaged = Operation.create(ground, Operation.spec(), null);
            orphan = image(ground, damaged);
        }
        List<String> nonsense =
                List.of("device/" + damaged, "device/empty", "device/other", "lease/null", "surprise", "x".repeat(255));
        try (Journal journal = Journal.open(home.resolve("journal"))) {
            byte[] another = journal.live().get("device/" + bystander.id());
            List<byte[]> values = List.of(
                    "{\"id\": \"".getBytes(UTF_8),
                    new byte[0],
                    another,
                    "null".getBytes(UTF_8),
                    new byte[] {0, 1, 2},
                    "[]".getBytes(UTF_8));
            for (int i = 0; i < nonsense.size(); i++) {
                journal.put(nonsense.get(i), values.get(i), Durability.MEMORY);
            }
        }
        assertThat(die(Operation.START, "", Step.RECOVERY_SET_ASIDE)).isEqualTo(Step.HALTED);

        try (Ground ground = start()) {
            assertThat(ground.report.setAside()).isEqualTo(nonsense.size());
            bystander.assertLives(ground);
            assertThat(orphan).as("an image on no record").doesNotExist();
            assertThat(Truth.settled(ground, home)).hasSize(1);
            assertThat(ground.journal.live()).containsKey("aside/device/" + damaged);
        }
        try (Ground ground = start()) {
            assertThat(ground.report.setAside()).as("reported once").isZero();
            endEverything(ground);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7, 100})
    void livesWithATornJournal(int bytesLeft) throws Exception {
        try (Ground ground = start()) {
            Bystander.of(ground);
        }
        Path journal = home.resolve("journal");
        byte[] whole = Files.readAllBytes(journal);
        Files.write(journal, Arrays.copyOf(whole, bytesLeft));

        try (Ground ground = start()) {
            assertThat(ground.report.setAside()).isEqualTo(1);
            assertThat(ground.report.orphans())
                    .as("ours by its tag and its image's name")
                    .isEqualTo(1);
            assertThat(Truth.soon().until(() -> Truth.attachedBelow(ground, home), List::isEmpty))
                    .isEmpty();
            Files.deleteIfExists(home.resolve("journal.damaged-1"));
        }
    }

    // What cannot be proven

    /** losetup before 2.40 sets no tag, and a reused file's name says nothing. */
    @Test
    void leavesAnAttachmentAloneThatNothingProvesAndTellsOfIt() throws Exception {
        try (Ground ground = Ground.start(home, Backend.LOSETUP)) {
            Operation.CREATE_REUSED.prepare(ground, home);
        }
        assertThat(Victim.run(home, Backend.LOSETUP, "this-boot", Operation.CREATE_REUSED, "", Step.CREATE_ATTACHED))
                .isEqualTo(Step.HALTED);

        try (Ground ground = Ground.start(home, Backend.LOSETUP)) {
            assertThat(ground.report.unproven()).isEqualTo(1);
            assertThat(Truth.attachedBelow(ground, home)).hasSize(1);
            assertThat(ground.journal.live()).isEmpty();
        }
    }

    /** The fault: whatever had such a name was deleted. */
    @Test
    void leavesAFileAloneThatHasTheNameOfAnImageAndIsNone() throws Exception {
        Path images = Files.createDirectories(Ground.images(home));
        Path precious = Files.writeString(images.resolve("precious12345678.img"), "precious");
        String changed;
        try (Ground ground = start()) {
            assertThat(ground.report.unproven()).isEqualTo(1);
            assertThat(ground.report.orphans()).isZero();
            changed = Operation.create(ground, Operation.spec(), null);
            Files.setPosixFilePermissions(image(ground, changed), PosixFilePermissions.fromString("rw-rw----"));
        }

        try (Ground ground = start()) {
            assertThat(precious).hasContent("precious");
            assertThat(ground.report.unproven())
                    .as("what is on record is proven by that")
                    .isEqualTo(1);
            assertThat(state(ground, changed)).isEqualTo(LoopState.READY);
            endEverything(ground);
        }
        Files.delete(precious);
    }

    @Test
    void touchesNothingThatAStrangerAttachedInItsDirectories() throws Exception {
        Files.createDirectories(Ground.images(home));
        try (ForeignDevice inside = ForeignDevice.in(Ground.images(home))) {
            String before = inside.look();
            try (Ground ground = start()) {
                assertThat(ground.report.unproven()).isEqualTo(1);
                endEverything(ground);
            }
            assertThat(inside.look()).isEqualTo(before);
        }
    }

    /** The fault: what somebody had attached to save it from an agent that lost its records was detached and deleted. */
    @ParameterizedTest
    @CsvSource({"IOCTL, false, 0, 2", "IOCTL, true, 1, 2", "LOSETUP, false, 0, 2", "LOSETUP, true, 0, 3"})
    void leavesAnOrphanAloneThatSomebodyElseHasAttached(
            Backend backend, boolean attachedByUsToo, int ended, int unproven) throws Exception {
        Path image;
        try (Ground ground = Ground.start(home, backend)) {
            String id = Operation.create(ground, Operation.spec(), null);
            image = image(ground, id);
            if (!attachedByUsToo) {
                ground.service.detach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER);
            }
        }
        Files.delete(home.resolve("journal"));
        String theirs = Bench.run("losetup", "--find", "--show", image.toString());

        try (Ground ground = Ground.start(home, backend)) {
            assertThat(ground.report).isEqualTo(new Recovery.Report(0, 0, 0, 0, ended, 0, unproven));
            Truth.soon().until(() -> ground.service.usage().devices() == 0);
            assertThat(image).exists();
            assertThat(Bench.boundBelow(home)).contains(Path.of(theirs).getFileName() + " " + image);
            assertThat(Bench.boundBelow(home)).hasSize(unproven - 1);
        }
        Leftovers.remove(home);
        try (Ground ground = Ground.start(home, backend)) {
            assertThat(ground.report.orphans()).isEqualTo(1);
            Truth.soon().until(() -> !Files.exists(image));
        }
    }

    // Time

    @Test
    void spansTheGraceToALeaseThatRanOutMeanwhile() throws Exception {
        String renewed;
        String forgotten;
        try (Ground ground = start()) {
            renewed = Operation.create(ground, Operation.spec(), null);
            forgotten = Operation.create(ground, Operation.spec(), null);
            for (String id : List.of(renewed, forgotten)) {
                ground.service.renew(lease(ground, id), Operation.ANY, OptionalLong.of(1), Operation.OWNER);
            }
            ground.advance(Duration.ofSeconds(5));
        }
        try (Ground ground = start()) {
            assertThat(Bystander.remaining(ground, forgotten)).isBetween(8L, 10L);
            ground.service.renew(lease(ground, renewed), Operation.ANY, OptionalLong.of(600), Operation.OWNER);
            // Twice: the first look sees that time leapt, and gives everybody the grace once more.
            for (int i = 0; i < 2; i++) {
                ground.advance(Ground.GRACE.plusSeconds(1));
                ground.service.reap();
            }
            // A lease ends a moment after its last device.
            Truth.soon()
                    .until(() -> ended(ground, forgotten)
                            && ground.service.leases(Operation.OWNER).size() == 1);
            assertThat(state(ground, renewed)).isEqualTo(LoopState.READY);
            endEverything(ground);
        }
    }

    private static boolean ended(Ground ground, String id) {
        try {
            device(ground, id);
            return false;
        } catch (LoopException.Ended e) {
            return true;
        }
    }

    /** Within one boot the wall clock means nothing, wherever it stands. */
    @ParameterizedTest
    @ValueSource(ints = {-1, 1})
    void doesNotCareWhereTheWallClockStands(int days) throws Exception {
        Bystander bystander;
        try (Ground ground = start()) {
            bystander = Bystander.of(ground);
        }
        Clock moved = Clock.offset(Clock.systemUTC(), Duration.ofDays(days));
        try (Ground ground = Ground.start(home, Backend.IOCTL, "this-boot", moved, Ground.GRACE)) {
            bystander.assertLives(ground);
            ground.service.renew(
                    bystander.lease(), Operation.ANY, OptionalLong.of(Operation.RENEWED_SECONDS), Operation.OWNER);
            ground.service.reap();
            bystander.assertLives(ground);
        }
        try (Ground ground = start()) {
            bystander.assertLives(ground);
            endEverything(ground);
        }
    }

    // What clients hold

    /** A revision that was counted from one again would fit a change that its client has never seen. */
    @Test
    void anEntityTagFromBeforeFitsNothingThatChangedAfterwards() throws Exception {
        String id;
        String etag;
        try (Ground ground = start()) {
            id = Operation.create(ground, Operation.spec(), null);
            ground.service.detach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER);
            etag = device(ground, id).etag();
        }
        try (Ground ground = start()) {
            for (int i = 0; i < 20; i++) {
                ground.service.attach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER);
                assertThat(device(ground, id).etag()).isNotEqualTo(etag);
                ground.service.detach(new DeviceRef.Id(id), Operation.ANY, Operation.OWNER);
                assertThat(device(ground, id).etag()).isNotEqualTo(etag);
            }
            assertThatThrownBy(() -> ground.service.attach(
                            new DeviceRef.Id(id), new Precondition.OneOf(Set.of(etag)), Operation.OWNER))
                    .isInstanceOf(LoopException.PreconditionFailed.class);
            endEverything(ground);
        }
    }

    // Drift

    /** What the comparison of each minute finds, without anybody asking for the device. */
    @Test
    void mendsItsRecordsEveryMinute() throws Exception {
        try (Ground ground = start()) {
            String detached = Operation.create(ground, Operation.spec(), null);
            String unlinked = Operation.create(ground, Operation.spec(), null);
            String lost = Operation.create(ground, Operation.spec(), null);
            Leftovers.run("losetup", "--detach", attached(ground, detached).path());
            Files.delete(image(ground, unlinked));
            Files.delete(image(ground, lost));
            Leftovers.run("losetup", "--detach", attached(ground, lost).path());

            ground.advance(Duration.ofMinutes(2));
            ground.service.reap();

            Truth.soon()
                    .until(() -> ground.service.count(LoopState.DETACHED) == 1
                            && ground.service.usage().devices() == 2);
            assertThat(ground.records().devices().keySet()).containsExactlyInAnyOrder(detached, unlinked);
            assertThat(state(ground, detached)).isEqualTo(LoopState.DETACHED);
            assertThat(state(ground, unlinked)).isEqualTo(LoopState.READY);
            assertThat(attached(ground, unlinked).backingFileDeleted()).isTrue();
            assertThatThrownBy(() -> device(ground, lost))
                    .isInstanceOfSatisfying(
                            LoopException.Ended.class,
                            ended -> assertThat(ended.reason()).isEqualTo(EndReason.LOST));
            endEverything(ground);
        }
    }

    private static void endEverything(Ground ground) throws IOException {
        for (LeaseSnapshot lease : ground.service.leases(Operation.OWNER)) {
            assertThat(ground.service.endLease(lease.id(), Operation.ANY, Operation.OWNER))
                    .isTrue();
        }
        assertThat(ground.records().devices()).isEmpty();
        assertThat(ground.records().leases()).isEmpty();
    }
}
