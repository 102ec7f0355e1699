/** Who asks, and from where, and whether they may come in at all; what they may do is decided in {@code loop}. */
@NullMarked
package dev.looplease.security;

import org.jspecify.annotations.NullMarked;
