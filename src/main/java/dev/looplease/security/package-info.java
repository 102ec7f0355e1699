/** Who may ask, and from where. */
@NullMarked
package dev.looplease.security;

import org.jspecify.annotations.NullMarked;
