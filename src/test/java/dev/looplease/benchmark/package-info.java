/** Benchmarks: compiled with every build, run only when asked for; CONTRIBUTING.md says how. */
@NullMarked
package dev.looplease.benchmark;

import org.jspecify.annotations.NullMarked;
