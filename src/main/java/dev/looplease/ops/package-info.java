/** What operators see: health, metrics, the event log. */
@NullMarked
package dev.looplease.ops;

import org.jspecify.annotations.NullMarked;
