package dev.looplease.loop;

/** Where a managed device is in its life. */
public enum LoopState {
    /** Being made; nobody has been told of it yet. */
    CREATING,
    /** Attached, as asked, confirmed by the kernel. */
    READY,
    /** Its image is kept, the kernel's device is not. */
    DETACHED,
    /** On its way out; waits for whoever still holds it open. */
    RELEASING,
    /** Its clean-up failed again and again; retried slowly, never forgotten. */
    STUCK
}
