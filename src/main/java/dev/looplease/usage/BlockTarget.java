package dev.looplease.usage;

import dev.looplease.posix.DeviceNumber;
import java.util.List;

/**
 * A block device with everything that is part of it.
 *
 * @param name the kernel's name, {@code loop7}
 * @param number its device number
 * @param partitions those that the caller knows of; those that the kernel shows are added at each use
 */
public record BlockTarget(String name, DeviceNumber number, List<Part> partitions) {

    public BlockTarget {
        checkName(name);
        partitions = List.copyOf(partitions);
    }

    /**
     * A partition.
     *
     * @param number its number in the table, from 1
     * @param name the kernel's name, {@code loop7p1}
     * @param device its device number
     */
    public record Part(int number, String name, DeviceNumber device) {

        public Part {
            checkName(name);
            if (number < 1) {
                throw new IllegalArgumentException("number: a partition's number is 1 or more, not " + number);
            }
        }
    }

    /** Names become parts of paths. */
    private static void checkName(String name) {
        if (name.isEmpty() || name.startsWith(".") || name.contains("/")) {
            throw new IllegalArgumentException("name: not a block device's name: " + name);
        }
    }
}
