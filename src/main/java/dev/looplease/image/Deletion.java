package dev.looplease.image;

/** How a deletion ended; after each of them the image is no longer at its path. */
public enum Deletion {
    DELETED,
    /** Nothing stood at its path. */
    ALREADY_GONE,
    /** Something else stood at its path, and was left alone. */
    REPLACED
}
