/**
 * The basement: the few libc calls that the JDK does not offer and that must not cost a process, by the Foreign
 * Function &amp; Memory API. It knows file descriptors and errno, nothing of loop devices. Numbers and struct layouts
 * are those shared by Linux on x86-64 and aarch64.
 */
@NullMarked
package dev.looplease.posix;

import org.jspecify.annotations.NullMarked;
