package dev.looplease.journal;

import java.io.IOException;
import java.nio.file.Path;

/** Another agent, or another part of this one, holds the state directory, or the images directory. */
public final class StateDirectoryInUse extends IOException {

    private static final long serialVersionUID = 1L;

    StateDirectoryInUse(Path directory, String holder) {
        super("the directory " + directory + " is in use by " + holder + ": one agent a directory");
    }
}
