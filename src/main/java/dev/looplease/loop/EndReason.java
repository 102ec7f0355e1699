package dev.looplease.loop;

/** Why an id is no more. */
public enum EndReason {
    /** A client gave it back. */
    DELETED,
    /** Its lease was not renewed in time. */
    EXPIRED,
    /** Its image vanished and nothing was bound any more. */
    LOST,
    /** The agent stopped and was told to release. */
    SHUTDOWN
}
