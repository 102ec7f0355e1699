package dev.looplease.loop;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.image.ImageFile;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopIdentity;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.awaitility.core.ConditionFactory;

/** Whether records, images and kernel say the same of what an agent lends. */
final class Truth {

    private Truth() {}

    static ConditionFactory soon() {
        return await().atMost(Duration.ofSeconds(20)).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(10));
    }

    /** The devices that the agent shows. */
    static List<LoopSnapshot> devices(Ground ground) {
        return ground.service
                .list(
                        new DeviceFilter(true, null, null, List.of()),
                        Slice.Place.START,
                        Integer.MAX_VALUE - 1,
                        Operation.OWNER)
                .items();
    }

    static LoopState state(LoopSnapshot device) {
        return device.managed().orElseThrow().state();
    }

    /** Waits for releases to end, then compares; returns the devices. */
    static List<LoopSnapshot> settled(Ground ground, Path home) throws IOException {
        soon().until(() -> ground.service.count(LoopState.RELEASING) == 0);
        List<LoopSnapshot> devices = devices(ground);
        assertAgreement(ground, home, devices);
        return devices;
    }

    private static void assertAgreement(Ground ground, Path home, List<LoopSnapshot> devices) throws IOException {
        Records.Remains records = ground.records();
        assertThat(records.setAside()).as("records set aside").isZero();
        assertThat(ids(devices))
                .as("devices and their records")
                .isEqualTo(new TreeSet<>(records.devices().keySet()));
        Set<String> leases = ground.service.leases(Operation.OWNER).stream()
                .map(LeaseSnapshot::id)
                .collect(Collectors.toCollection(TreeSet::new));
        assertThat(leases)
                .as("leases and their records")
                .isEqualTo(new TreeSet<>(records.leases().keySet()));
        long promised = 0;
        for (LoopSnapshot device : devices) {
            LoopSnapshot.Managed ours = device.managed().orElseThrow();
            DeviceRecord record = requireNonNull(records.devices().get(ours.id()));
            promised += record.spec().reuseFile() ? 0 : Files.size(Path.of(ours.image()));
            assertAgreement(device, record);
            assertThat(requireNonNull(records.leases().get(record.leaseId())).id())
                    .as("the recorded lease of %s", ours.id())
                    .isEqualTo(ours.lease().id());
            assertThat(ours.lease().deviceIds()).contains(ours.id());
        }
        assertThat(ground.service.usage())
                .as("what is promised")
                .isEqualTo(new LoopRegistry.Usage(devices.size(), promised));
        assertThat(attachedBelow(ground, home))
                .as("attachments in the kernel")
                .containsExactlyInAnyOrderElementsOf(devices.stream()
                        .flatMap(device -> device.observed().stream())
                        .map(LoopDevice::identity)
                        .toList());
        assertThat(imagesBelow(home))
                .as("images on the disk")
                .isEqualTo(devices.stream()
                        .map(device -> device.managed().orElseThrow().image())
                        .filter(image ->
                                !Operation.userFilePath(home).toString().equals(image))
                        .collect(Collectors.toCollection(TreeSet::new)));
    }

    private static void assertAgreement(LoopSnapshot device, DeviceRecord record) throws IOException {
        LoopSnapshot.Managed ours = device.managed().orElseThrow();
        ImageFile image = requireNonNull(record.image()).toFile();
        assertThat(Files.getAttribute(image.path(), "unix:ino"))
                .as("the recorded image of %s", record)
                .isEqualTo(image.inode());
        assertThat(ours.imageBytes()).isEqualTo(Files.size(image.path()));
        assertThat(record.state()).isEqualTo(ours.state());
        Optional<LoopDevice> observed = device.observed();
        assertThat(observed.isPresent()).as("%s is attached", record).isEqualTo(ours.state() == LoopState.READY);
        if (observed.isPresent()) {
            LoopDevice kernel = observed.get();
            assertThat(requireNonNull(record.attachment()).toIdentity()).isEqualTo(kernel.identity());
            assertThat(kernel.backingInode()).isEqualTo(image.inode());
            assertThat(kernel.sizeBytes()).as("size of %s", record).isEqualTo(ours.imageBytes());
            assertThat(kernel.sectorSize()).isEqualTo(record.sectorSize());
            assertThat(kernel.autoclear())
                    .as("a detach of %s is pending", record)
                    .isFalse();
        }
    }

    private static Collection<String> ids(List<LoopSnapshot> devices) {
        return devices.stream().map(LoopSnapshot::requiredId).collect(Collectors.toCollection(TreeSet::new));
    }

    static List<LoopIdentity> attachedBelow(Ground ground, Path home) throws IOException {
        List<LoopIdentity> found = new ArrayList<>();
        for (LoopDevice device : ground.losetup.list()) {
            if (device.backingFile().startsWith(home + "/")) {
                found.add(device.identity());
            }
        }
        return found;
    }

    /** But for the user's. */
    private static Set<String> imagesBelow(Path home) throws IOException {
        Set<String> found = new TreeSet<>();
        for (Path directory : List.of(Ground.images(home), Ground.root(home))) {
            try (Stream<Path> files = Files.list(directory)) {
                files.filter(file -> !file.equals(Operation.userFilePath(home)))
                        .map(Path::toString)
                        .forEach(found::add);
            }
        }
        return found;
    }
}
