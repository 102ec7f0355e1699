package dev.looplease.benchmark;

import java.io.Closeable;
import java.io.IOException;

/** Somebody who can make a loop device of a new sparse image, and end both. */
interface Contender extends Closeable {

    /** What it took. */
    final class Pairs {
        final Samples create = new Samples();
        final Samples delete = new Samples();
        final Samples both = new Samples();

        void add(long created, long deleted) {
            create.add(created);
            delete.add(deleted);
            both.add(created + deleted);
        }
    }

    String name();

    /** Makes and ends so many, one after the other. */
    void run(int pairs, Pairs into) throws IOException;

    @Override
    void close() throws IOException;
}
