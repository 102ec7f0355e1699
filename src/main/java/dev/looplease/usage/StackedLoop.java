package dev.looplease.usage;

import dev.looplease.posix.DeviceNumber;

/**
 * A loop device of the host, as far as its backing file goes.
 *
 * @param number 9 for {@code loop9}
 * @param backingDevice the filesystem that holds the backing file, its {@code st_dev}
 * @param backingNode the block device whose node the backing file is; 0:0 where it is none
 * @param backingFile the file's path, as {@code /sys/block/loop9/loop/backing_file} has it: free text, as far as its mount
 *     namespace is not the agent's
 */
public record StackedLoop(int number, DeviceNumber backingDevice, DeviceNumber backingNode, String backingFile) {

    /** The kernel's name, {@code loop9}. */
    public String name() {
        return "loop" + number;
    }
}
