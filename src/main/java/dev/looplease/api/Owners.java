package dev.looplease.api;

/** Whose a lease and its devices are. */
final class Owners {

    /** Everybody, until there are credentials to tell people apart. */
    static final String ANONYMOUS = "anonymous";

    private Owners() {}
}
