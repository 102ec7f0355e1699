package dev.looplease.losetup;

import java.util.List;
import java.util.Optional;

/**
 * The loop driver of this host's kernel. Loop devices are not namespaced: what is seen here is the whole host's, other
 * programs' devices among them. Implementations may be called from many threads at once.
 */
public interface Losetup {

    /** How it speaks to the kernel: {@code losetup} or {@code ioctl}. */
    String backend();

    /**
     * Binds an image to a loop device.
     *
     * @return what the kernel confirmed; it has everything that was asked, or this call has undone it and throws
     */
    LoopDevice attach(Attachment wanted) throws LosetupException;

    /** The device of that number; empty where none is, or where nothing is bound to it. */
    Optional<LoopDevice> inspect(int number) throws LosetupException;

    /** Every bound loop device of the host, in the order of their numbers. */
    List<LoopDevice> list() throws LosetupException;

    /**
     * Opens a device and verifies, while holding it open, that it is still that attachment. While the handle is open
     * the number cannot be bound anew, so whatever is done through it meets no stranger.
     *
     * @return empty when that attachment is no more, whatever may be bound to its number now
     */
    Optional<LoopHandle> open(LoopIdentity identity) throws LosetupException;

    /** Whether that very attachment is still bound. Cheap, and opens nothing: it reads sysfs alone. */
    boolean isBound(LoopIdentity identity);
}
