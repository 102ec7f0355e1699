package dev.looplease.losetup;

/**
 * A loop device held open, proven to be the attachment that was asked for. Every call throws
 * {@link LosetupException.Gone} once the attachment has ended. For one thread at a time.
 */
public interface LoopHandle extends AutoCloseable {

    /** What the kernel says of it now. */
    LoopDevice inspect() throws LosetupException;

    /**
     * Whether somebody claims it exclusively: a mount in any mount namespace, swap, device-mapper, md. It misses those
     * who merely have it open, and a loop device on top of it. The question is an {@code open(O_EXCL)}: a mount(2) of
     * this device that falls into those microseconds fails with EBUSY.
     */
    boolean isClaimed() throws LosetupException;

    /** Whether it has partitions now: what {@link #inspect()} lists, for the price of one look. */
    boolean hasPartitions() throws LosetupException;

    /**
     * Asks the kernel to detach. It takes effect at the last close: at this handle's, unless somebody else has the
     * device open. In that case it stays bound with {@link LoopDevice#autoclear()} until he closes it. Where nobody
     * else has it open the kernel may regard it as ended right now ({@link LosetupException.Gone}).
     */
    void clear() throws LosetupException;

    /**
     * Takes a pending {@link #clear()} back, and has verified that.
     *
     * @throws LosetupException.Gone when it has taken effect already
     * @throws LosetupException.Refused when this backend cannot do it for this device
     */
    void retain() throws LosetupException;

    /** Whether {@link #retain()} could take a {@link #clear()} back; where not, ask who uses the device before. */
    boolean canRetain() throws LosetupException;

    /** Makes the device as large as its section of the image is now. A fixed size limit stays the limit. */
    LoopDevice refreshSize() throws LosetupException;

    /**
     * Turns direct I/O on or off.
     *
     * @throws LosetupException.NotGranted when the kernel left it as it was
     */
    LoopDevice setDirectIo(boolean on) throws LosetupException;

    /**
     * Changes the logical sector size.
     *
     * @param bytes a power of two, 512 or more; the upper bound is the kernel's
     * @throws LosetupException.Refused when the kernel does not take that size
     * @throws LosetupException.KernelError EBUSY while somebody uses the device
     */
    LoopDevice setSectorSize(int bytes) throws LosetupException;

    /** Lets go of the device; closing twice is harmless. */
    @Override
    void close() throws LosetupException;
}
