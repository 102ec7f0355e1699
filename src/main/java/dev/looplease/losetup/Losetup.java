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

    /** The numbers of all loop devices, bound or not, in their order. */
    List<Integer> numbers() throws LosetupException;

    /**
     * Those of these numbers that are bound and can be read, in the same order. Of an attachment that was read before only what may change
     * while it lasts is read anew (not its section, whether it is read-only, and the tag), from sysfs alone: that opens no
     * device, and so is in nobody's way.
     */
    List<LoopDevice> list(List<Integer> numbers) throws LosetupException;

    /** Every bound loop device of the host that can be read, in the order of their numbers. */
    default List<LoopDevice> list() throws LosetupException {
        return list(numbers());
    }

    /**
     * The names, as the kernel prints them, of the images of bound devices that a list of all has left out: what cannot be
     * asked for its inode, because its disk fails, has a name all the same. From sysfs alone.
     */
    List<String> unlistedImages(List<LoopDevice> listed) throws LosetupException;

    /**
     * Opens a device and verifies, while holding it open, that it is still that attachment. While the handle is open
     * the number cannot be bound anew, so whatever is done through it meets no stranger.
     *
     * @return empty when that attachment is no more, whatever may be bound to its number now
     */
    Optional<LoopHandle> open(LoopIdentity identity) throws LosetupException;

    /**
     * Keeps free loop devices ready, and removes those that it has added and that nobody needs any more: as its
     * {@link NodePolicy} says. It takes its time.
     */
    default void tend() throws LosetupException {}

    /** Whether that very attachment is still bound. Cheap, and opens nothing: it reads sysfs alone. */
    boolean isBound(LoopIdentity identity);
}
