/**
 * What survives kill -9 of the agent: a small checksummed log of intents and leases, and the lock that keeps a second
 * agent out of the directory where it lies. It knows keys and bytes, not what they mean; it is a cache of intent, so
 * whatever happened to the file, opening it yields every record that can still be read, and a list of what could not.
 */
@NullMarked
package dev.looplease.journal;

import org.jspecify.annotations.NullMarked;
