/**
 * Image files and the directories that may hold them: create, open, resize, delete, count bytes. A client names paths, so
 * this room is where confinement is decided: every path is walked beneath a held root descriptor, without symbolic
 * links, and a file is known by its inode, never by its name. It knows nothing of loop devices.
 */
@NullMarked
package dev.looplease.image;

import org.jspecify.annotations.NullMarked;
