package dev.looplease.losetup;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Iterator;
import java.util.Map;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The free loop numbers that this process knows, and the loop devices that it has added to the kernel.
 *
 * <p>LOOP_CTL_GET_FREE is not asked: it reserves nothing, takes longer the more devices there are, and does not tell whether
 * it has just added the device that it names. Known numbers are tried, the lowest first; when there is none a device is added
 * under a number that none has, which the kernel grants to one caller only. A number here is a hint: another program may be
 * faster, and what is free again by others' doing is found at the next {@link #tend}.
 */
final class LoopNumbers {

    private static final Logger log = LoggerFactory.getLogger(LoopNumbers.class);

    private final Path control;
    private final LoopSysfs sysfs;
    private final NodePolicy policy;
    private final NavigableSet<Integer> free = new ConcurrentSkipListSet<>();
    /** Since when each device that this process added has been free, by System.nanoTime; {@link #IN_USE} while it is not. */
    private final Map<Integer, Long> added = new ConcurrentSkipListMap<>();

    private static final Long IN_USE = Long.MIN_VALUE;

    private final ReentrantLock adding = new ReentrantLock();
    private final ReentrantLock tending = new ReentrantLock();
    private volatile boolean looked;
    /** Numbers that have a device, as of the last look; guarded by {@link #adding}. */
    private final BitSet existing = new BitSet();

    LoopNumbers(Path control, LoopSysfs sysfs, NodePolicy policy) {
        this.control = control;
        this.sysfs = sysfs;
        this.policy = policy;
    }

    /** A number that was free when it was last looked at; empty where none is known. */
    Optional<Integer> take() throws IOException {
        if (!looked) {
            look();
        }
        return Optional.ofNullable(free.pollFirst());
    }

    /** That number has just been unbound by us. */
    void give(int number) {
        added.computeIfPresent(number, (n, since) -> System.nanoTime());
        free.add(number);
    }

    /** Adds a device; returns its number. */
    int add() throws IOException {
        adding.lock();
        try (Fd device = Posix.open(control, Posix.O_RDWR)) {
            while (true) {
                int number = existing.nextClearBit(0);
                existing.set(number);
                if (add(device, number)) {
                    return number;
                }
            }
        } finally {
            adding.unlock();
        }
    }

    /** Adds the device of that number, unless there is one. */
    void add(int number) throws IOException {
        try (Fd device = Posix.open(control, Posix.O_RDWR)) {
            add(device, number);
        }
    }

    private boolean add(Fd device, int number) throws IOException {
        try {
            Posix.ioctl(device, "LOOP_CTL_ADD", LoopIoctls.LOOP_CTL_ADD, number);
            added.put(number, IN_USE);
            return true;
        } catch (PosixException e) {
            // Somebody else was faster; who gets to bind it is decided by the kernel.
            if (e.errno() == Errno.EEXIST) {
                return false;
            }
            throw e;
        }
    }

    /** Finds what is free, makes what shall be prepared, and removes what has been free for long. Not for a request's way. */
    void tend() throws IOException {
        if (tending.tryLock()) {
            try {
                look();
                prepare();
                prune();
            } finally {
                tending.unlock();
            }
        }
    }

    private void look() throws IOException {
        NavigableSet<Integer> bound = new TreeSet<>();
        Iterable<Integer> numbers = sysfs.numbers();
        NavigableSet<Integer> unbound = new TreeSet<>();
        for (int number : numbers) {
            (sysfs.isBound(number) ? bound : unbound).add(number);
        }
        long now = System.nanoTime();
        added.replaceAll((number, since) -> {
            if (!unbound.contains(number)) {
                return IN_USE;
            }
            return since.equals(IN_USE) ? Long.valueOf(now) : since;
        });
        adding.lock();
        try {
            existing.clear();
            bound.forEach(existing::set);
            unbound.forEach(existing::set);
        } finally {
            adding.unlock();
        }
        free.removeIf(number -> !unbound.contains(number));
        free.addAll(unbound);
        looked = true;
    }

    private void prepare() throws IOException {
        int missing = policy.prepared() - free.size();
        for (int i = 0; i < missing; i++) {
            give(add());
        }
        if (missing > 0) {
            log.info("{} loop devices added in advance", missing);
        }
    }

    /** The highest first, down to as many free ones as shall stay. */
    private void prune() throws IOException {
        int removed = 0;
        try (Fd device = Posix.open(control, Posix.O_RDWR)) {
            Iterator<Integer> highest = new TreeSet<>(added.keySet()).descendingIterator();
            while (highest.hasNext()
                    && free.size() > policy.prepared()
                    && !Thread.currentThread().isInterrupted()) {
                int number = highest.next();
                Long since = added.getOrDefault(number, IN_USE);
                // Whoever takes it out of the free ones is the only one of us to use it.
                if (!since.equals(IN_USE)
                        && System.nanoTime() - since >= policy.pruneAfter().toNanos()
                        && free.remove(number)) {
                    removed += remove(device, number) ? 1 : 0;
                }
            }
        }
        if (removed > 0) {
            log.info("{} loop devices removed that the agent had added, and that were free", removed);
        }
    }

    private boolean remove(Fd device, int number) throws IOException {
        try {
            Posix.ioctl(device, "LOOP_CTL_REMOVE", LoopIoctls.LOOP_CTL_REMOVE, number);
            added.remove(number);
            return true;
        } catch (PosixException e) {
            if (e.errno() == Errno.ENODEV) {
                added.remove(number);
                return false;
            }
            if (e.errno() == Errno.EBUSY) {
                // Bound or opened by somebody else meanwhile.
                added.put(number, IN_USE);
                return false;
            }
            throw e;
        }
    }
}
