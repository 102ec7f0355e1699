package dev.looplease.loop;

/**
 * An Idempotency-Key and what was asked with it.
 *
 * @param key the client's
 * @param fingerprint of the request: the same key with another fingerprint is a mistake
 */
public record RequestKey(String key, String fingerprint) {}
