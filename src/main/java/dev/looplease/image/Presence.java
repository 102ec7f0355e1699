package dev.looplease.image;

/** What stands at an image's path. */
public enum Presence {
    PRESENT,
    GONE,
    /** Something that is not that image. */
    REPLACED
}
