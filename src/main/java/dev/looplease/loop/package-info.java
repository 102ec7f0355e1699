/**
 * The product: what the agent lends, to whom and until when. {@link dev.looplease.loop.LoopService} knows the order of
 * every step; {@link dev.looplease.loop.LoopRegistry} is the truth about managed devices and leases;
 * {@link dev.looplease.loop.Reaper} ends what is due.
 */
@NullMarked
package dev.looplease.loop;

import org.jspecify.annotations.NullMarked;
