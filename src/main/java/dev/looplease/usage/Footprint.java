package dev.looplease.usage;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a block device and its partitions are known by.
 *
 * @param device the device, with the partitions that the kernel shows now
 * @param numbers by kernel name, the device's first
 * @param filesystemMembers the devices of every btrfs that lies on it, other disks included: such a mount's source is
 *     any one of them
 */
record Footprint(BlockTarget device, Map<String, DeviceNumber> numbers, Set<DeviceNumber> filesystemMembers) {

    static Footprint of(HostTree tree, BlockTarget target) throws IOException {
        BlockTarget device = Sysfs.withPartitions(tree, target);
        Map<String, DeviceNumber> numbers = new LinkedHashMap<>();
        numbers.put(device.name(), device.number());
        device.partitions().forEach(part -> numbers.put(part.name(), part.device()));
        return new Footprint(device, numbers, btrfsMembers(tree, numbers.keySet()));
    }

    private static Set<DeviceNumber> btrfsMembers(HostTree tree, Set<String> names) throws IOException {
        Set<DeviceNumber> members = new HashSet<>();
        for (String uuid : HostTree.names(tree.sys().resolve("fs/btrfs"))) {
            Path devices = tree.sys().resolve("fs/btrfs").resolve(uuid).resolve("devices");
            List<String> present = HostTree.names(devices);
            if (present.stream().anyMatch(names::contains)) {
                for (String name : present) {
                    String number = HostTree.line(devices.resolve(name).resolve("dev"));
                    if (number != null) {
                        members.add(DeviceNumber.parse(number));
                    }
                }
            }
        }
        return members;
    }

    boolean contains(DeviceNumber number) {
        return numbers.containsValue(number);
    }

    /**
     * Whether a mount is one of this device's. A btrfs has an anonymous number and tells its device by its source only;
     * whatever else has one lies on no block device that the kernel knows of, and its source is free text:
     * {@code mount -t tmpfs /dev/loop7 /mnt}.
     */
    boolean carries(HostTree tree, Mount mount) {
        if (mount.device().major() != 0) {
            return contains(mount.device());
        }
        return mount.type().equals("btrfs") && !filesystemMembers.isEmpty() && isNode(tree, mount.source());
    }

    /** Whether a path below {@code /dev} is a node of it, or of a disk that has a btrfs in common with it. */
    private boolean isNode(HostTree tree, String path) {
        if (!path.startsWith("/dev/")) {
            return false;
        }
        try {
            FileStat node = Posix.stat(tree.resolve(path));
            return node.isBlockDevice() && filesystemMembers.contains(node.represents());
        } catch (IOException e) {
            // The source is what somebody wrote when mounting; its namespace's /dev may have had names that ours lacks.
            return isNamed(path);
        }
    }

    /** Whether a swap area lies on it, or is it. */
    boolean holds(FileStat file) {
        return file.isBlockDevice() ? contains(file.represents()) : contains(file.device());
    }

    /** The same by the name alone, where there is no node to look at. */
    boolean isNamed(String path) {
        return path.startsWith("/dev/") && numbers.containsKey(path.substring("/dev/".length()));
    }
}
