package dev.looplease.losetup;

import static dev.looplease.losetup.LoopFixture.MIB;
import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.NavigableSet;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Free numbers on the real kernel, beside others who take and leave them. */
@KernelTest
class LoopNumbersTest {

    private static final Path CONTROL = Path.of("/dev/loop-control");
    private static final NodePolicy AT_ONCE = new NodePolicy(0, Duration.ZERO);

    private final LoopSysfs sysfs = new LoopSysfs(Path.of("/sys"));

    @TempDir
    Path directory;

    private LoopFixture fixture;

    @BeforeEach
    void start() {
        fixture = new LoopFixture(directory);
    }

    @AfterEach
    void cleanUp() throws IOException {
        fixture.close();
    }

    private LoopNumbers numbers(NodePolicy policy) {
        return new LoopNumbers(CONTROL, sysfs, policy);
    }

    private int added(LoopNumbers numbers) throws IOException {
        int number = numbers.add();
        fixture.undo(() -> LoopFixture.remove(number));
        return number;
    }

    @Test
    void addsADeviceOfItsOwnEachTime() throws Exception {
        LoopNumbers numbers = numbers(NodePolicy.LAZY);
        int first = added(numbers);
        int second = added(numbers);

        assertThat(second).isNotEqualTo(first);
        assertThat(sysfs.exists(first)).isTrue();
        assertThat(sysfs.exists(second)).isTrue();
    }

    @Test
    void givesOutAgainWhatCameBackTheLowestFirst() throws Exception {
        LoopNumbers numbers = numbers(NodePolicy.LAZY);
        drained(numbers);
        int first = added(numbers);
        int second = added(numbers);
        assertThat(drained(numbers)).isEmpty();
        numbers.give(second);
        numbers.give(first);

        assertThat(drained(numbers)).containsExactly(Math.min(first, second), Math.max(first, second));
    }

    private static List<Integer> drained(LoopNumbers numbers) throws IOException {
        List<Integer> all = new ArrayList<>();
        for (var number = numbers.take(); number.isPresent(); number = numbers.take()) {
            all.add(number.get());
        }
        return all;
    }

    @Test
    void preparesAsManyAsItShall() throws Exception {
        NavigableSet<Integer> before = new TreeSet<>(sysfs.numbers());
        long free = before.stream().filter(number -> !sysfs.isBound(number)).count();
        LoopNumbers numbers = numbers(new NodePolicy((int) free + 3, Duration.ofDays(1)));
        fixture.undo(() -> numbers(AT_ONCE).tend());

        numbers.tend();

        List<Integer> known = drained(numbers);
        List<Integer> made =
                known.stream().filter(number -> !before.contains(number)).toList();
        made.forEach(number -> fixture.undo(() -> LoopFixture.remove(number)));
        // Others take and leave numbers at the same time.
        assertThat(known).hasSizeGreaterThanOrEqualTo(3).isSorted();
        assertThat(made).isNotEmpty();
        assertThat(made).allMatch(sysfs::exists);
    }

    @Test
    void prunesWhatItAddedAndNobodyUses() throws Exception {
        LoopNumbers numbers = numbers(AT_ONCE);
        int free = added(numbers);
        int bound = added(numbers);
        LoopDevice stranger = fixture.stranger(bound);
        numbers.give(free);
        numbers.give(bound);

        numbers.tend();

        assertThat(sysfs.exists(free)).isFalse();
        assertThat(sysfs.isBound(stranger.identity())).isTrue();
    }

    /** Guards against removing a node that somebody else made, or that the host began with. */
    @Test
    void neverPrunesWhatItDidNotAdd() throws Exception {
        int strangers = added(numbers(NodePolicy.LAZY));
        LoopNumbers numbers = numbers(AT_ONCE);
        numbers.tend();
        numbers.give(strangers);

        numbers.tend();

        assertThat(sysfs.exists(strangers)).isTrue();
    }

    @Test
    void prunesNothingBeforeItsTime() throws Exception {
        LoopNumbers numbers = numbers(new NodePolicy(0, Duration.ofHours(1)));
        int free = added(numbers);
        numbers.give(free);

        numbers.tend();

        assertThat(sysfs.exists(free)).isTrue();
    }

    /** Guards against forgetting that a device was added once it has been in use. */
    @Test
    void prunesAfterUse() throws Exception {
        LosetupIoctl losetup = new LosetupIoctl(AT_ONCE);
        int number = fixture.unusedNumber();
        LoopDevice device = fixture.track(losetup.attach(fixture.image(MIB).at(number)));
        losetup.tend();
        assertThat(sysfs.isBound(device.identity())).isTrue();
        LoopFixture.detach(losetup, device.identity());

        losetup.tend();

        assertThat(Files.exists(Path.of("/sys/block/loop" + number))).isFalse();
    }
}
