/** The contract of the HTTP interface, asked of the whole agent over real HTTP, on real loop devices. */
@NullMarked
package dev.looplease.acceptance;

import org.jspecify.annotations.NullMarked;
