/**
 * Who is using a block device, and how to free it: mounts in every mount namespace, swap, dm and md holders,
 * partitions, and processes that have it open. It reads {@code /proc}, {@code /sys} and {@code /dev}, and knows loop
 * devices only as files that lie on a device.
 */
@NullMarked
package dev.looplease.usage;

import org.jspecify.annotations.NullMarked;
