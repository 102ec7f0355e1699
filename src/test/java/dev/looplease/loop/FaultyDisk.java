package dev.looplease.loop;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.IntSupplier;

/**
 * A filesystem that fails at whichever write of this process a test chooses, as a disk would: the kernel asks before it
 * writes, reserves or truncates (fanotify(7), FAN_PRE_ACCESS, Linux 6.14), and is told which errno to answer. Entries of
 * directories it does not ask about.
 */
final class FaultyDisk implements AutoCloseable {

    /** FAN_CLOEXEC, FAN_NONBLOCK and FAN_CLASS_PRE_CONTENT. */
    private static final int GROUP = 0x1 | 0x2 | 0x8;
    /** FAN_MARK_ADD and FAN_MARK_FILESYSTEM. */
    private static final int MARK = 0x1 | 0x100;

    private static final long FAN_PRE_ACCESS = 0x0010_0000;
    private static final int FAN_ALLOW = 1;
    private static final int FAN_DENY = 2;
    private static final int ERRNO_SHIFT = 24;
    private static final int AT_FDCWD = -100;
    private static final short POLLIN = 1;
    private static final int POLL_MILLIS = 50;

    // struct fanotify_event_metadata
    private static final int EVENT_LEN_AT = 0;
    private static final int EVENT_FD_AT = 16;
    private static final int EVENT_PID_AT = 20;

    private static final MethodHandle INIT = call("fanotify_init", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT));
    private static final MethodHandle ADD_MARK =
            call("fanotify_mark", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS));
    private static final MethodHandle POLL =
            call("poll", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
    private static final MethodHandle READ =
            call("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    private static final MethodHandle WRITE =
            call("write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    private static final MethodHandle CLOSE = call("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));

    private final int group;
    private final Thread decider;
    private volatile boolean closed;

    // Guarded by this.
    private int writes;
    private int chosen = Integer.MAX_VALUE;
    private IntSupplier answerToChosen = () -> FAN_ALLOW;
    private boolean forGood;
    private boolean reached;

    private FaultyDisk(int group) {
        this.group = group;
        this.decider = Thread.ofPlatform().name("faulty-disk").daemon().start(this::decide);
    }

    /**
     * Watches a filesystem; files that are open already are not watched.
     *
     * @return empty where the kernel cannot be told to fail
     */
    static Optional<FaultyDisk> at(Path mountPoint) {
        try (Arena arena = Arena.ofConfined()) {
            int group = (int) run(INIT, GROUP, 0);
            if (group < 0) {
                return Optional.empty();
            }
            MemorySegment path = arena.allocateFrom(mountPoint.toString());
            if ((int) run(ADD_MARK, group, MARK, FAN_PRE_ACCESS, AT_FDCWD, path) < 0) {
                run(CLOSE, group);
                return Optional.empty();
            }
            return Optional.of(new FaultyDisk(group));
        }
    }

    /** Lets a write fail, counted from 1 and from now on, and if it is for good all later ones. */
    synchronized void failAt(int nth, int withErrno, boolean andAllLater) {
        choose(nth, () -> FAN_DENY | (withErrno << ERRNO_SHIFT));
        forGood = andAllLater;
    }

    /** Does something before a write, counted from 1 and from now on. */
    synchronized void before(int nth, Runnable something) {
        choose(nth, () -> {
            something.run();
            return FAN_ALLOW;
        });
    }

    private void choose(int nth, IntSupplier answer) {
        writes = 0;
        reached = false;
        forGood = false;
        chosen = nth;
        answerToChosen = answer;
    }

    /** Whether it came to that write. */
    synchronized boolean wasReached() {
        return reached;
    }

    /** From now on everything succeeds. */
    synchronized void heal() {
        chosen = Integer.MAX_VALUE;
    }

    private synchronized int answer(int pid) {
        if (pid != ProcessHandle.current().pid()) {
            return FAN_ALLOW;
        }
        writes++;
        if (writes == chosen || (forGood && writes > chosen)) {
            reached = true;
            return answerToChosen.getAsInt();
        }
        return FAN_ALLOW;
    }

    /** Whoever writes waits for this. */
    private void decide() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment poll = arena.allocate(8, 4);
            poll.set(JAVA_INT, 0, group);
            poll.set(JAVA_SHORT, 4, POLLIN);
            MemorySegment events = arena.allocate(4096, 8);
            MemorySegment response = arena.allocate(8, 4);
            while (!closed) {
                run(POLL, poll, 1L, POLL_MILLIS);
                long read = (long) run(READ, group, events, events.byteSize());
                for (long at = 0; at < read; at += events.get(JAVA_INT, at + EVENT_LEN_AT)) {
                    int file = events.get(JAVA_INT, at + EVENT_FD_AT);
                    response.set(JAVA_INT, 0, file);
                    response.set(JAVA_INT, 4, answer(events.get(JAVA_INT, at + EVENT_PID_AT)));
                    run(WRITE, group, response, response.byteSize());
                    run(CLOSE, file);
                }
            }
        } finally {
            // What still waits is allowed by that.
            run(CLOSE, group);
        }
    }

    @Override
    public void close() {
        closed = true;
        try {
            decider.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static MethodHandle call(String name, FunctionDescriptor signature) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), signature);
    }

    private static Object run(MethodHandle call, Object... arguments) {
        try {
            return call.invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new LinkageError("a system call cannot be made", e);
        }
    }
}
