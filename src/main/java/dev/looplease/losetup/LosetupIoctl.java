package dev.looplease.losetup;

import dev.looplease.losetup.LoopIoctls.Status;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.locks.LockSupport;

/**
 * Speaks to the kernel by ioctls; needs LOOP_CONFIGURE, Linux 5.8.
 *
 * <p>Whoever loses a number of {@link LoopNumbers} against another process tries anew after a short random pause.
 */
final class LosetupIoctl extends HostLosetup {

    /** How long a free number is sought while others keep taking it: some thousand attempts. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private final LoopNumbers numbers;

    LosetupIoctl() {
        this(NodePolicy.LAZY);
    }

    LosetupIoctl(NodePolicy policy) {
        this(Path.of("/dev"), Path.of("/sys"), policy);
    }

    LosetupIoctl(Path dev, Path sys) {
        this(dev, sys, NodePolicy.LAZY);
    }

    private LosetupIoctl(Path dev, Path sys, NodePolicy policy) {
        super(dev, sys);
        numbers = new LoopNumbers(nodes.control(), sysfs, policy);
    }

    /** Whether this process, in its container, can use the ioctls of this kernel; a reason where it cannot. */
    Optional<String> obstacle() {
        try (Fd device = nodes.open(control("LOOP_CTL_GET_FREE", LoopIoctls.LOOP_CTL_GET_FREE, 0), Posix.O_RDWR)) {
            return LoopIoctls.knowsConfigure(device)
                    ? Optional.empty()
                    : Optional.of("the kernel has no LOOP_CONFIGURE (since 5.8)");
        } catch (IOException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public String backend() {
        return "ioctl";
    }

    @Override
    public LoopDevice attach(Attachment wanted) throws LosetupException {
        Terms terms = Terms.of(wanted);
        try {
            return wanted.number().isPresent() ? attach(terms, wanted.number().getAsInt()) : attachAnywhere(terms);
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    private LoopDevice attach(Terms terms, int number) throws IOException {
        Patience patience = new Patience();
        do {
            if (sysfs.isBound(number)) {
                throw new LosetupException.NameTaken(number);
            }
            if (!sysfs.exists(number)) {
                numbers.add(number);
            }
            Optional<LoopDevice> device = tryAttach(terms, number);
            if (device.isPresent()) {
                return device.get();
            }
            // Not bound and yet busy: in the midst of being attached or detached, or claimed exclusively.
        } while (patience.pause());
        throw new LosetupException.NameTaken(number);
    }

    private LoopDevice attachAnywhere(Terms terms) throws IOException {
        Patience patience = new Patience();
        do {
            for (Optional<Integer> known = numbers.take(); known.isPresent(); known = numbers.take()) {
                // Looked at before it is opened: it may be a stranger's by now.
                if (!sysfs.isBound(known.get())) {
                    Optional<LoopDevice> device = tryAttach(terms, known.get());
                    if (device.isPresent()) {
                        return device.get();
                    }
                }
            }
            Optional<LoopDevice> device = tryAttach(terms, numbers.add());
            if (device.isPresent()) {
                return device.get();
            }
        } while (patience.pause());
        throw new LosetupException.KernelError("EAGAIN", "others keep taking every free loop device");
    }

    /** Empty when that number turned out not to be free. */
    private Optional<LoopDevice> tryAttach(Terms terms, int number) throws IOException {
        try (Fd device = nodes.open(number, Posix.O_RDWR)) {
            LoopIoctls.configure(device, terms.wanted());
            // From here on the device is ours: while it is open nobody can bind it anew.
            return Optional.of(remember(confirm(terms, device, number)));
        } catch (PosixException e) {
            if (LoopNodes.isAbsent(e) || e.errno() == Errno.EBUSY || e.errno() == Errno.EAGAIN) {
                return Optional.empty();
            }
            if (e.errno() == Errno.EINVAL) {
                // The image's type and the section were checked; what is left is the sector size.
                throw LosetupException.Refused.sectorSize(terms.wanted().sectorSize());
            }
            throw e;
        }
    }

    /** Completes, reads back and compares what has just been bound; undoes it where it is not as was asked. */
    private LoopDevice confirm(Terms terms, Fd device, int number) throws LosetupException {
        try {
            if (terms.wanted().partScan()) {
                // Not in one step with LOOP_CONFIGURE: there udev's own rescan races with it (systemd#41425).
                LoopIoctls.changeFlags(device, LoopIoctls.LO_FLAGS_PARTSCAN, 0);
            }
            // The open image has the name by which it was opened a moment ago; the inode that the kernel tells proves
            // it.
            String name = terms.wanted().path().toString();
            LoopDevice bound = readNew(device, number, name);
            if (bound.readOnly() && !terms.wanted().readOnly()) {
                LoopIoctls.endForeignReadOnly(device);
                bound = readNew(device, number, name);
            }
            terms.confirm(bound);
            return bound;
        } catch (IOException e) {
            LosetupException failure = LosetupException.of(e);
            try {
                LoopIoctls.clear(device);
            } catch (IOException undo) {
                failure.addSuppressed(undo);
            }
            throw failure;
        }
    }

    private LoopDevice readNew(Fd device, int number, String name) throws IOException {
        return read(device, number, sysfs.partitionNumbers(number), Optional.of(name))
                .orElseThrow(() -> new LosetupException.KernelError("ENXIO", "detached by somebody else at once"));
    }

    @Override
    public Optional<LoopDevice> inspect(int number) throws LosetupException {
        try {
            return read(number).map(this::remember);
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    @Override
    public void tend() throws LosetupException {
        try {
            numbers.tend();
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    @Override
    OpenHandle handle(Fd device, LoopIdentity identity) {
        return new Handle(device, identity);
    }

    private Optional<LoopDevice> read(int number) throws IOException {
        if (!sysfs.isBound(number)) {
            return Optional.empty();
        }
        try (Fd device = nodes.open(number, Posix.O_RDONLY)) {
            return read(device, number);
        } catch (PosixException e) {
            if (LoopNodes.isAbsent(e)) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /**
     * Reads from the open descriptor all that it can tell: no number can change hands in between, and an ioctl costs a
     * tenth of reading a file of sysfs.
     */
    private Optional<LoopDevice> read(Fd device, int number) throws IOException {
        return read(device, number, sysfs.partitionNumbers(number), sysfs.backingText(number));
    }

    private Optional<LoopDevice> read(
            Fd device, int number, List<Integer> partitionNumbers, Optional<String> backingText) throws IOException {
        Optional<Status> status = status(device, number);
        if (status.isEmpty() || backingText.isEmpty()) {
            return Optional.empty();
        }
        Status is = status.get();
        BackingFile backing = BackingFile.of(backingText.get(), is.backingDevice(), is.backingInode());
        return Optional.of(new LoopDevice(
                number,
                Posix.stat(device).represents(),
                LoopIoctls.sizeBytes(device),
                LoopIoctls.sectorSize(device),
                is.offsetBytes(),
                is.sizeLimitBytes(),
                LoopIoctls.isReadOnly(device),
                is.has(LoopIoctls.LO_FLAGS_DIRECT_IO),
                is.has(LoopIoctls.LO_FLAGS_AUTOCLEAR),
                is.has(LoopIoctls.LO_FLAGS_PARTSCAN),
                LoopIoctls.diskSeq(device),
                backing.path(),
                backing.deleted(),
                is.backingDevice(),
                is.backingInode(),
                is.backingNode(),
                sysfs.partitions(number, partitionNumbers),
                is.tag()));
    }

    private Optional<Status> status(Fd device, int number) throws IOException {
        Optional<Status> status = LoopIoctls.status(device);
        if (status.isPresent() && status.get().number() != number) {
            throw new LosetupException.KernelError(
                    LosetupException.KernelError.UNKNOWN,
                    nodes.path(number) + " is the node of loop" + status.get().number());
        }
        return status;
    }

    private int control(String name, int request, int argument) throws IOException {
        try (Fd control = Posix.open(nodes.control(), Posix.O_RDWR)) {
            return Posix.ioctl(control, name, request, argument);
        }
    }

    /** Pauses of random length, longer and longer, until it has been enough. */
    private static final class Patience {
        private final long start = System.nanoTime();
        private int attempts;

        boolean pause() {
            long longest = 200_000L << Math.min(++attempts, 6);
            LockSupport.parkNanos(ThreadLocalRandom.current().nextLong(longest));
            return System.nanoTime() - start < PATIENCE.toNanos();
        }
    }

    private final class Handle extends OpenHandle {

        private boolean cleared;

        Handle(Fd device, LoopIdentity identity) {
            super(device, identity, nodes, sysfs);
        }

        @Override
        public LoopDevice inspect() throws LosetupException {
            try {
                return read(device, identity.number())
                        .filter(now -> now.identity().equals(identity))
                        .orElseThrow(() -> new LosetupException.Gone(identity));
            } catch (IOException e) {
                throw failure(e);
            }
        }

        /** By two calls: a detach needs no more, and it is the most frequent use. */
        @Override
        void verify() throws LosetupException {
            try {
                Status is = status(device, identity.number()).orElseThrow(() -> new LosetupException.Gone(identity));
                LoopIdentity now = new LoopIdentity(
                        is.number(), LoopIoctls.diskSeq(device), is.backingDevice(), is.backingInode());
                if (!now.equals(identity)) {
                    throw new LosetupException.Gone(identity);
                }
            } catch (IOException e) {
                throw failure(e);
            }
        }

        @Override
        public void clear() throws LosetupException {
            call("LOOP_CLR_FD", LoopIoctls.LOOP_CLR_FD, 0);
            cleared = true;
            try {
                LoopIoctls.leaveWritable(device);
            } catch (IOException e) {
                throw failure(e);
            }
        }

        @Override
        public void retain() throws LosetupException {
            super.retain();
            cleared = false;
        }

        @Override
        void requestRetain() throws LosetupException {
            try {
                LoopIoctls.changeFlags(device, 0, LoopIoctls.LO_FLAGS_AUTOCLEAR);
            } catch (IOException e) {
                throw failure(e);
            }
        }

        @Override
        void requestSize() throws LosetupException {
            call("LOOP_SET_CAPACITY", LoopIoctls.LOOP_SET_CAPACITY, 0);
        }

        @Override
        void requestDirectIo(boolean on) throws LosetupException {
            try {
                Posix.ioctl(device, "LOOP_SET_DIRECT_IO", LoopIoctls.LOOP_SET_DIRECT_IO, on ? 1 : 0);
            } catch (IOException e) {
                // EINVAL: image, offset or sector size do not allow it; older kernels keep silent about the same.
                if (!isInvalid(e)) {
                    throw failure(e);
                }
            }
        }

        @Override
        void requestSectorSize(int bytes) throws LosetupException {
            try {
                Posix.ioctl(device, "LOOP_SET_BLOCK_SIZE", LoopIoctls.LOOP_SET_BLOCK_SIZE, bytes);
            } catch (IOException e) {
                throw isInvalid(e) ? LosetupException.Refused.sectorSize(bytes) : failure(e);
            }
        }

        @Override
        public void close() throws LosetupException {
            super.close();
            if (cleared && !sysfs.isBound(identity.number())) {
                numbers.give(identity.number());
            }
        }

        private void call(String name, int request, long argument) throws LosetupException {
            try {
                Posix.ioctl(device, name, request, argument);
            } catch (IOException e) {
                throw failure(e);
            }
        }

        private static boolean isInvalid(IOException e) {
            return e instanceof PosixException posix && posix.errno() == Errno.EINVAL;
        }
    }
}
