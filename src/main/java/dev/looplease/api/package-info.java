/**
 * HTTP in, HTTP out: controllers, request and view records, and the one place where a failure becomes a problem
 * document.
 */
@NullMarked
package dev.looplease.api;

import org.jspecify.annotations.NullMarked;
