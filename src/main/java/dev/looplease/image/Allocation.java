package dev.looplease.image;

/** What an image occupies before anybody has written into it. */
public enum Allocation {
    /** Nothing: it promises space that may not be there when it is written. */
    SPARSE,
    /** Its whole size, reserved by fallocate(2). */
    FULL
}
