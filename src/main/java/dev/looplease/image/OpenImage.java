package dev.looplease.image;

import dev.looplease.posix.Fd;
import java.io.Closeable;
import java.io.IOException;

/**
 * An image and an open descriptor of that very file; whoever receives it closes it.
 *
 * @param file its identity, read from the descriptor
 * @param fd open for reading, or for reading and writing; close-on-exec
 */
public record OpenImage(ImageFile file, Fd fd) implements Closeable {

    @Override
    public void close() throws IOException {
        fd.close();
    }
}
