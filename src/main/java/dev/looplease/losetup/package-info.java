/**
 * The kernel's loop driver: {@link dev.looplease.losetup.Losetup} and its two implementations, one by ioctls and one by
 * util-linux's {@code losetup}. Both tell only what the kernel confirmed, and touch a device only after its identity is
 * proven. Which is used is decided once, by {@link dev.looplease.losetup.Losetups}.
 */
@NullMarked
package dev.looplease.losetup;

import org.jspecify.annotations.NullMarked;
