package dev.looplease.loop;

import static dev.looplease.loop.Operation.ATTACH;
import static dev.looplease.loop.Operation.CREATE;
import static dev.looplease.loop.Operation.CREATE_GROUP;
import static dev.looplease.loop.Operation.CREATE_IN_DIRECTORY;
import static dev.looplease.loop.Operation.CREATE_NAMED;
import static dev.looplease.loop.Operation.CREATE_REUSED;
import static dev.looplease.loop.Operation.DELETE;
import static dev.looplease.loop.Operation.DELETE_NAMED;
import static dev.looplease.loop.Operation.DELETE_REUSED;
import static dev.looplease.loop.Operation.DETACH;
import static dev.looplease.loop.Operation.END_LEASE;
import static dev.looplease.loop.Operation.EXPIRE;
import static dev.looplease.loop.Operation.FORCE_DELETE;
import static dev.looplease.loop.Operation.GIVE_ALL_BACK;
import static dev.looplease.loop.Operation.GROW;
import static dev.looplease.loop.Operation.GROW_IN_VAIN;
import static dev.looplease.loop.Operation.MOVE;
import static dev.looplease.loop.Operation.RENEW;
import static dev.looplease.loop.Operation.SET_DIRECT_IO;
import static dev.looplease.loop.Operation.SET_SECTOR_SIZE;
import static dev.looplease.loop.Operation.SHRINK;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.ForeignDevice;
import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * An agent dies at a step, as by kill -9, and the next one puts things right: records, images and kernel agree, what
 * lives goes on, what ended is gone, and a bystander and a foreign device have noticed nothing.
 */
@KernelTest
class CrashTest {

    /** What becomes of what the operation was about. */
    enum Fate {
        GONE,
        READY,
        DETACHED
    }

    record Death(Operation operation, Step at, Backend backend, Fate fate) {
        @Override
        public String toString() {
            return operation + " at " + at + " by " + backend + ": " + fate;
        }
    }

    @TempDir
    private static Path outside;

    private static ForeignDevice foreign;
    private static String foreignBefore;

    @TempDir
    private Path home;

    @BeforeAll
    static void aForeignDeviceStandsBeside() throws IOException {
        foreign = ForeignDevice.in(outside.toRealPath());
        foreignBefore = foreign.look();
    }

    @AfterAll
    static void theForeignDeviceLeaves() throws IOException {
        foreign.close();
    }

    @AfterEach
    void removeWhatAFailedTestLeft() throws Exception {
        Leftovers.remove(home.toRealPath());
    }

    static List<Death> deaths() {
        List<Death> deaths = new ArrayList<>();
        for (Backend backend : List.of(Backend.IOCTL, Backend.LOSETUP)) {
            die(deaths, CREATE, backend, Fate.GONE, Step.CREATE_IMAGE_MADE, Step.CREATE_ATTACHED, Step.CREATE_CHECKED);
            die(deaths, CREATE, backend, Fate.READY, Step.CREATE_READY);
            die(deaths, CREATE_NAMED, backend, Fate.GONE, Step.CREATE_IMAGE_MADE, Step.CREATE_ATTACHED);
            die(
                    deaths,
                    ATTACH,
                    backend,
                    Fate.READY,
                    Step.CREATE_MAPPED,
                    Step.CREATE_ATTACHED,
                    Step.ATTACH_BOUND,
                    Step.ATTACH_READY);
            die(deaths, DETACH, backend, Fate.DETACHED, Step.TEARDOWN_CLOSED, Step.DETACH_GONE);
            die(deaths, DELETE, backend, Fate.GONE, Step.DELETE_RECORDED, Step.TEARDOWN_CLOSED, Step.RELEASE_STRUCK);
            die(deaths, EXPIRE, backend, Fate.GONE, Step.CLAIMED, Step.RELEASE_CLOSED, Step.RELEASE_IMAGE_DELETED);
        }
        Backend ioctl = Backend.IOCTL;
        die(
                deaths,
                CREATE,
                ioctl,
                Fate.GONE,
                Step.CREATE_RESERVED,
                Step.CREATE_RECORDED,
                Step.CREATE_IMAGE_KNOWN,
                Step.CREATE_MAPPED,
                Step.CREATE_LEASE_STARTED);
        die(deaths, CREATE_IN_DIRECTORY, ioctl, Fate.GONE, Step.CREATE_IMAGE_MADE, Step.CREATE_ATTACHED);
        die(deaths, CREATE_IN_DIRECTORY, ioctl, Fate.READY, Step.CREATE_READY);
        die(deaths, CREATE_NAMED, ioctl, Fate.GONE, Step.CREATE_IMAGE_KNOWN, Step.CREATE_LEASE_STARTED);
        die(deaths, CREATE_NAMED, ioctl, Fate.READY, Step.CREATE_READY);
        die(
                deaths,
                CREATE_REUSED,
                ioctl,
                Fate.GONE,
                Step.CREATE_IMAGE_FOUND,
                Step.CREATE_MAPPED,
                Step.CREATE_ATTACHED,
                Step.CREATE_LEASE_STARTED);
        die(deaths, CREATE_REUSED, ioctl, Fate.READY, Step.CREATE_READY);
        die(
                deaths,
                CREATE_GROUP,
                ioctl,
                Fate.GONE,
                Step.GROUP_RECORDED,
                Step.CREATE_RESERVED,
                Step.CREATE_RECORDED,
                Step.CREATE_IMAGE_MADE,
                Step.CREATE_IMAGE_KNOWN,
                Step.CREATE_MAPPED,
                Step.CREATE_ATTACHED,
                Step.CREATE_CHECKED,
                Step.CREATE_READY,
                Step.GROUP_DEVICE_MADE);
        die(deaths, CREATE_GROUP, ioctl, Fate.READY, Step.GROUP_STARTED);
        die(deaths, ATTACH, ioctl, Fate.DETACHED, Step.ATTACH_OPENED);
        die(
                deaths,
                GROW,
                ioctl,
                Fate.READY,
                Step.RESIZE_PROMISED,
                Step.RESIZE_FILE,
                Step.RESIZE_RECORDED,
                Step.RESIZE_DEVICE);
        die(deaths, SHRINK, ioctl, Fate.READY, Step.RESIZE_PROMISED, Step.RESIZE_FILE, Step.RESIZE_DEVICE);
        die(deaths, GROW_IN_VAIN, ioctl, Fate.READY, Step.RESIZE_FILE_RESTORED);
        die(deaths, SET_SECTOR_SIZE, ioctl, Fate.READY, Step.SECTOR_SIZE_DEVICE);
        die(deaths, SET_DIRECT_IO, ioctl, Fate.READY, Step.DIRECT_IO_DEVICE);
        die(deaths, MOVE, ioctl, Fate.READY, Step.MOVE_JOINED, Step.MOVE_RECORDED, Step.MOVE_LEFT);
        die(deaths, DETACH, ioctl, Fate.READY, Step.TEARDOWN_OPENED);
        die(deaths, DETACH, ioctl, Fate.DETACHED, Step.TEARDOWN_CLEARED, Step.DETACH_RECORDED);
        die(
                deaths,
                DELETE,
                ioctl,
                Fate.GONE,
                Step.TEARDOWN_OPENED,
                Step.TEARDOWN_CLEARED,
                Step.DELETE_GONE,
                Step.RELEASE_DETACHED,
                Step.RELEASE_IMAGE_DELETED,
                Step.RELEASE_LEASE_STRUCK);
        die(deaths, DELETE_NAMED, ioctl, Fate.GONE, Step.DELETE_GONE, Step.RELEASE_IMAGE_DELETED);
        die(deaths, DELETE_REUSED, ioctl, Fate.GONE, Step.DELETE_GONE, Step.RELEASE_STRUCK);
        die(
                deaths,
                FORCE_DELETE,
                ioctl,
                Fate.GONE,
                Step.RELEASE_MARKED,
                Step.RELEASE_OPENED,
                Step.RELEASE_CLEARED,
                Step.TEARDOWN_FREED,
                Step.RELEASE_DETACHED);
        die(
                deaths,
                EXPIRE,
                ioctl,
                Fate.GONE,
                Step.RELEASE_MARKED,
                Step.RELEASE_OPENED,
                Step.RELEASE_CLEARED,
                Step.RELEASE_DETACHED,
                Step.RELEASE_STRUCK,
                Step.RELEASE_LEASE_STRUCK);
        die(deaths, END_LEASE, ioctl, Fate.GONE, Step.CLAIMED, Step.RELEASE_MARKED, Step.RELEASE_DETACHED);
        die(deaths, GIVE_ALL_BACK, ioctl, Fate.GONE, Step.CLAIMED, Step.RELEASE_MARKED);
        die(deaths, RENEW, ioctl, Fate.READY, Step.RENEW_RECORDED, Step.RENEWED);
        return deaths;
    }

    private static void die(List<Death> deaths, Operation operation, Backend backend, Fate fate, Step... at) {
        for (Step step : at) {
            deaths.add(new Death(operation, step, backend, fate));
        }
    }

    /** A step that somebody adds needs a death of its own. */
    @Test
    void noStepIsLeftOut() {
        Set<Step> died = deaths().stream().map(Death::at).collect(Collectors.toCollection(TreeSet::new));
        died.addAll(ELSEWHERE);

        assertThat(died).containsExactly(Step.values());
        assertThat(deaths()).hasSizeGreaterThanOrEqualTo(30);
    }

    /** Where other tests of this class die. */
    private static final Set<Step> ELSEWHERE = Set.of(
            Step.RELEASE_WAITING,
            Step.RECOVERY_SET_ASIDE,
            Step.RECOVERY_LEASE_RECORDED,
            Step.RECOVERY_DEVICE_KNOWN,
            Step.RECOVERY_COMPARED,
            Step.RECOVERY_ADOPTED);

    @ParameterizedTest
    @MethodSource("deaths")
    void isPutRight(Death death) throws Exception {
        Path where = home.toRealPath();
        String target;
        Bystander bystander;
        try (Ground ground = Ground.start(where, death.backend())) {
            bystander = Bystander.of(ground);
            target = death.operation().prepare(ground, where);
            if (death.operation() == FORCE_DELETE) {
                mount(ground, target, where);
            }
        }
        byte[] users = usersFile(where);

        assertThat(Victim.run(where, death.backend(), "this-boot", death.operation(), target, death.at()))
                .as(() -> log(where))
                .isEqualTo(Step.HALTED);

        boolean everythingEnds = death.operation() == GIVE_ALL_BACK;
        try (Ground ground = Ground.start(where, death.backend())) {
            List<LoopSnapshot> devices = Truth.settled(ground, where);
            if (!everythingEnds) {
                bystander.assertLives(ground);
            }
            List<LoopSnapshot> others = devices.stream()
                    .filter(device -> !device.requiredId().equals(bystander.id()))
                    .toList();
            if (everythingEnds) {
                assertOneLives(devices, others.isEmpty() ? bystander.id() : target);
            } else {
                assertFate(death, ground, others);
            }
            assertThat(usersFile(where)).isEqualTo(users);
            assertOnce(death, ground, where, others);
            endEverything(ground);
            assertThat(Truth.settled(ground, where)).isEmpty();
            assertThat(ground.service.leases(Operation.OWNER)).isEmpty();
            assertThat(ground.journal.live()).isEmpty();
        }
        assertThat(foreign.look()).isEqualTo(foreignBefore);
    }

    /** Which lease is the first to end, the bystander's or the other, is nobody's business; the second had not begun to. */
    private static void assertOneLives(List<LoopSnapshot> devices, String id) {
        assertThat(devices).singleElement().satisfies(device -> {
            assertThat(device.requiredId()).isEqualTo(id);
            assertThat(Truth.state(device)).isEqualTo(LoopState.READY);
        });
    }

    private static void assertFate(Death death, Ground ground, List<LoopSnapshot> others) {
        if (death.fate() == Fate.GONE) {
            assertThat(others).isEmpty();
            return;
        }
        assertThat(others)
                .hasSize(death.operation().devices)
                .allSatisfy(device -> assertThat(Truth.state(device).name())
                        .isEqualTo(death.fate().name()));
        String id = others.getFirst().requiredId();
        long bytes =
                Objects.requireNonNull(others.getFirst().managed().orElseThrow().imageBytes());
        switch (death.operation()) {
            case RENEW -> assertThat(Bystander.remaining(ground, id)).isGreaterThan(7000);
            case GROW ->
                assertThat(bytes).isEqualTo(death.at() == Step.RESIZE_PROMISED ? Operation.BYTES : 2 * Operation.BYTES);
            case GROW_IN_VAIN -> assertThat(bytes).isEqualTo(Operation.BYTES);
            case SHRINK ->
                assertThat(bytes).isEqualTo(death.at() == Step.RESIZE_PROMISED ? Operation.BYTES : Operation.BYTES / 2);
            case MOVE ->
                assertThat(ground.service.leases(Operation.OWNER))
                        .as(
                                "the bystander's, the new one, and the old one until the device is on record in the new one")
                        .hasSize(death.at() == Step.MOVE_JOINED ? 3 : 2);
            default -> assertThat(Bystander.remaining(ground, id)).isBetween(500L, Operation.TTL_SECONDS);
        }
    }

    /** Who repeats his request with its key after the crash has what he asked for once, whatever the first one came to. */
    private static void assertOnce(Death death, Ground ground, Path home, List<LoopSnapshot> others) {
        if (!death.operation().name().startsWith("CREATE")) {
            return;
        }
        List<String> before = others.stream().map(LoopSnapshot::requiredId).toList();
        var first = death.operation().create(ground, home);
        assertThat(first.repeated()).isEqualTo(death.fate() == Fate.READY);
        assertThat(first.value()).hasSize(death.operation().devices);
        if (first.repeated()) {
            assertThat(first.value()).containsExactlyInAnyOrderElementsOf(before);
        }
        var second = death.operation().create(ground, home);
        assertThat(second.repeated()).isTrue();
        assertThat(second.value()).containsExactlyElementsOf(first.value());
        assertThat(Truth.devices(ground)).hasSize(1 + death.operation().devices);
    }

    private static void endEverything(Ground ground) {
        for (LeaseSnapshot lease : ground.service.leases(Operation.OWNER)) {
            ground.service.endLease(lease.id(), Operation.ANY, Operation.OWNER);
        }
    }

    private void mount(Ground ground, String target, Path where) throws Exception {
        String node = ground.service
                .get(new DeviceRef.Id(target), Operation.OWNER)
                .observed()
                .orElseThrow()
                .path();
        Path directory = Files.createDirectory(where.resolve("mnt"));
        Leftovers.run("mkfs.ext4", "-q", "-F", node);
        Leftovers.run("mount", node, directory.toString());
    }

    private static byte[] usersFile(Path home) throws IOException {
        Path file = Operation.userFilePath(home);
        return Files.exists(file) ? Files.readAllBytes(file) : new byte[0];
    }

    private static String log(Path home) {
        try {
            return Files.readString(home.resolve("victim.log"));
        } catch (IOException e) {
            return e.toString();
        }
    }
}
