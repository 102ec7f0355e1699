package dev.looplease.usage;

/**
 * What could not be freed.
 *
 * @param what the user or partition, for people: {@code mount /mnt/x}
 * @param why what the kernel said, or what is known
 */
public record Leftover(String what, String why) {}
