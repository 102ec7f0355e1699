package dev.looplease.losetup;

/** Whether the image is read and written past the page cache. */
public enum DirectIo {
    OFF,
    /** Where image, offset and sector size allow it. */
    PREFER,
    /** Or not at all: {@link LosetupException.NotGranted}. */
    REQUIRE
}
