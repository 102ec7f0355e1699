@NullMarked
package dev.looplease;

import org.jspecify.annotations.NullMarked;
