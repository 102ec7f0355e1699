package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;

/**
 * A partition that the kernel knows of.
 *
 * @param number from 1
 * @param name such as {@code loop7p1}
 * @param startBytes where on the device it begins
 */
public record Partition(int number, String name, DeviceNumber node, long startBytes, long sizeBytes) {}
