package dev.looplease.usage;

import dev.looplease.posix.DeviceNumber;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What {@code /sys/block} says of a device: its partitions, and the kernel's devices that stand on it. */
final class Sysfs {

    private Sysfs() {}

    /**
     * A device that stands on another, {@code dm-0}.
     *
     * @param name the kernel's name
     * @param label its name in device-mapper; empty for any other
     */
    record Holder(String name, String label) {

        String target() {
            return label.isEmpty() ? name : name + " (" + label + ")";
        }
    }

    /** The device with the partitions that the kernel shows besides those already known. */
    static BlockTarget withPartitions(HostTree tree, BlockTarget device) throws IOException {
        Map<String, BlockTarget.Part> parts = new TreeMap<>();
        device.partitions().forEach(part -> parts.put(part.name(), part));
        for (BlockTarget.Part part : partitions(tree, device.name())) {
            parts.put(part.name(), part);
        }
        return new BlockTarget(device.name(), device.number(), List.copyOf(parts.values()));
    }

    static List<BlockTarget.Part> partitions(HostTree tree, String device) throws IOException {
        List<BlockTarget.Part> parts = new ArrayList<>();
        for (String name : HostTree.names(tree.block(device))) {
            Path directory = tree.block(device).resolve(name);
            if (name.startsWith(device)) {
                String number = HostTree.line(directory.resolve("partition"));
                String dev = HostTree.line(directory.resolve("dev"));
                if (number != null && dev != null) {
                    parts.add(new BlockTarget.Part(Integer.parseInt(number), name, DeviceNumber.parse(dev)));
                }
            }
        }
        return parts;
    }

    static List<Holder> holders(HostTree tree, BlockTarget device) throws IOException {
        List<Path> directories = new ArrayList<>();
        directories.add(tree.block(device.name()));
        device.partitions()
                .forEach(part -> directories.add(tree.block(device.name()).resolve(part.name())));
        Map<String, Holder> holders = new TreeMap<>();
        for (Path directory : directories) {
            for (String name : HostTree.names(directory.resolve("holders"))) {
                String label = HostTree.line(tree.block(name).resolve("dm/name"));
                holders.put(name, new Holder(name, label == null ? "" : label));
            }
        }
        return List.copyOf(holders.values());
    }
}
