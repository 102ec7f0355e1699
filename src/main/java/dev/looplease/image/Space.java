package dev.looplease.image;

/**
 * The room on a filesystem.
 *
 * @param totalBytes what it can hold; 0 where it does not say, as an unlimited tmpfs
 * @param freeBytes what is free for everybody, without the blocks that ext4 keeps for root
 */
public record Space(long totalBytes, long freeBytes) {}
