package dev.looplease.posix;

import java.io.Closeable;
import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;

/** An open file descriptor with one owner, who closes it. Closing twice is harmless. */
public final class Fd implements Closeable {

    private final AtomicInteger number;

    Fd(int number) {
        this.number = new AtomicInteger(number);
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
        int open = number.getAndSet(-1);
        if (open >= 0) {
            Posix.close(open);
        }
    }
}
