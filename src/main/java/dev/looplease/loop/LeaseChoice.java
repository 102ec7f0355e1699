package dev.looplease.loop;

/** Which lease a new device lives by. */
public sealed interface LeaseChoice {

    /** One of its own, on these terms. */
    record Own(LeaseTerms terms) implements LeaseChoice {}

    /** An existing one of the same owner. */
    record Existing(String leaseId) implements LeaseChoice {}
}
