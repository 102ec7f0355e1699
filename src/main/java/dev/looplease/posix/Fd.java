package dev.looplease.posix;

import java.io.Closeable;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;

/** An open file descriptor with one owner, who closes it. Closing twice is harmless. */
public final class Fd implements Closeable {

    private final AtomicInteger number;
    private final boolean owned;

    Fd(int number) {
        this(new AtomicInteger(number), true);
    }

    private Fd(AtomicInteger number, boolean owned) {
        this.number = number;
        this.owned = owned;
    }

    /** The same for somebody who does not own it: closing that one does nothing, closing this one closes both. */
    public Fd borrowed() {
        return new Fd(number, false);
    }

    /** The descriptor's number. */
    public int number() {
        int open = number.get();
        if (open < 0) {
            throw new IllegalStateException("the file descriptor is closed");
        }
        return open;
    }

    /** The path under which this process, and a child while this process lives, reaches the open file. */
    public String procPath() {
        return "/proc/" + ProcessHandle.current().pid() + "/fd/" + number();
    }

    @Override
    public void close() throws IOException {
        if (owned) {
            int open = number.getAndSet(-1);
            if (open >= 0) {
                Posix.close(open);
            }
        }
    }
}
