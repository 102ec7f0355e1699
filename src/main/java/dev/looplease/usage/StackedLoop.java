package dev.looplease.usage;

import dev.looplease.posix.DeviceNumber;

/**
 * A loop device of the host, as far as its backing file goes.
 *
 * @param number 9 for {@code loop9}
 * @param backingDevice the filesystem that holds the backing file, its {@code st_dev}
 * @param backingFile the file's path, as {@code /sys/block/loop9/loop/backing_file} has it
 */
public record StackedLoop(int number, DeviceNumber backingDevice, String backingFile) {

    /** The kernel's name, {@code loop9}. */
    public String name() {
        return "loop" + number;
    }
}
