package dev.looplease.journal;

/** What a record has survived by the time that the call returns. */
public enum Durability {
    /** kill -9 of the agent: the kernel has the record. Microseconds. */
    MEMORY,
    /** A power cut: the disk has it, and every record before it. Milliseconds; concurrent callers share one fsync. */
    DISK
}
