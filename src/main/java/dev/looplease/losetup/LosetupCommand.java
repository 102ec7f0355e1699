package dev.looplease.losetup;

import dev.looplease.losetup.CommandRunner.Result;
import dev.looplease.losetup.LoopIoctls.Status;
import dev.looplease.losetup.LoopSysfs.Attributes;
import dev.looplease.losetup.LosetupJson.Row;
import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Fd;
import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs util-linux's {@code losetup}, 2.30 or newer (the first with {@code --sector-size}). Neither its exit code nor its
 * words decide anything where the kernel's state can: losetup fails after it has bound, succeeds without having
 * granted, and "detaches" devices that stay. The tag is not passed on: losetup can since 2.40 only.
 */
final class LosetupCommand extends HostLosetup {

    static final String PROGRAM = "losetup";
    static final Duration TIMEOUT = Duration.ofSeconds(20);

    private static final Logger LOG = LoggerFactory.getLogger(LosetupCommand.class);

    /** How often a device is read anew because its number changed hands in between. */
    private static final int READS = 10;

    /** What strerror(3) says in the C locale, of glibc: the last resort, where nothing is bound that would tell. */
    private static final Map<String, String> ERRNO_BY_TEXT = Map.of(
            "Invalid argument", "EINVAL",
            "Device or resource busy", "EBUSY",
            "No space left on device", "ENOSPC",
            "No such file or directory", "ENOENT",
            "Not a directory", "ENOTDIR",
            "No such device", "ENODEV",
            "Permission denied", "EACCES",
            "Operation not permitted", "EPERM",
            "Cannot allocate memory", "ENOMEM",
            "Input/output error", "EIO");

    /** For a path that somebody swaps. */
    private static final Duration LONGEST_LOOK = Duration.ofMillis(50);

    private final CommandRunner losetup;

    /**
     * Find-and-attach is one thread's at a time: losetup's own retries after EBUSY are 200 ms apart, and whatever a
     * failed command has bound is recognized by being new.
     */
    private final ReentrantLock attaching = new ReentrantLock();

    LosetupCommand() {
        this(PROGRAM, TIMEOUT, Path.of("/dev"), Path.of("/sys"));
    }

    LosetupCommand(String program, Duration timeout, Path dev, Path sys) {
        super(dev, sys);
        losetup = new CommandRunner(program, timeout);
    }

    /** Why this losetup cannot serve; its list must be readable, for by that it is seen what an attach has done. */
    Optional<String> obstacle() {
        try {
            rows();
            return sysfs.isSearchable()
                    ? Optional.empty()
                    : Optional.of("/sys/dev/block is hidden, where it looks devices up, as Podman does without"
                            + " --security-opt unmask=/sys/dev/block");
        } catch (IOException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public String backend() {
        return "losetup";
    }

    @Override
    public LoopDevice attach(Attachment wanted) throws LosetupException {
        Terms terms = Terms.of(wanted);
        attaching.lock();
        try {
            return attach(terms);
        } catch (IOException e) {
            throw LosetupException.of(e);
        } finally {
            attaching.unlock();
        }
    }

    private LoopDevice attach(Terms terms) throws IOException {
        Attachment wanted = terms.wanted();
        if (wanted.number().isPresent() && sysfs.isBound(wanted.number().getAsInt())) {
            throw new LosetupException.NameTaken(wanted.number().getAsInt());
        }
        Map<Integer, Long> before = sysfs.boundDiskSeqs();
        Result result = losetup.run(arguments(wanted));
        if (result.timedOut()) {
            throw afterTimeOut(terms, before, result);
        }
        Optional<LoopDevice> bound = newlyBound(terms, before, result);
        if (bound.isEmpty() && makeMissingNodes()) {
            result = losetup.run(arguments(wanted));
            if (result.timedOut()) {
                throw afterTimeOut(terms, before, result);
            }
            bound = newlyBound(terms, before, result);
        }
        if (bound.isEmpty()) {
            throw nothingBound(wanted, result);
        }
        LoopDevice device = bound.get();
        try {
            LoopDevice granted = device.readOnly() && !wanted.readOnly() ? withoutForeignReadOnly(device) : device;
            // The exit code does not count: losetup exits 1 where only direct I/O, merely preferred, could not be set.
            terms.confirm(granted);
            return granted;
        } catch (IOException e) {
            LosetupException failure = LosetupException.of(e);
            undo(device, failure);
            throw failure;
        }
    }

    private LoopDevice withoutForeignReadOnly(LoopDevice device) throws IOException {
        try (Fd open = nodes.open(device.number(), Posix.O_RDONLY)) {
            if (LoopIoctls.diskSeq(open) == device.diskSeq()) {
                LoopIoctls.endForeignReadOnly(open);
            }
        }
        return inspect(device.number())
                .filter(now -> now.diskSeq() == device.diskSeq())
                .orElse(device);
    }

    private LosetupException afterTimeOut(Terms terms, Map<Integer, Long> before, Result result) {
        LosetupException failure = timedOut("attach " + terms.wanted().path());
        try {
            newlyBound(terms, before, result).ifPresent(device -> undo(device, failure));
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
        return failure;
    }

    private List<String> arguments(Attachment wanted) {
        List<String> arguments = new ArrayList<>();
        arguments.add("--show");
        arguments.add("--offset=" + wanted.offsetBytes());
        if (wanted.sizeLimitBytes() > 0) {
            arguments.add("--sizelimit=" + wanted.sizeLimitBytes());
        }
        // Never left out: from 6.15 on direct I/O changes the default sector size, and both defaults differ by version.
        arguments.add("--sector-size=" + wanted.sectorSize());
        arguments.add("--direct-io=" + (wanted.directIo() == DirectIo.OFF ? "off" : "on"));
        if (wanted.readOnly()) {
            arguments.add("--read-only");
        }
        if (wanted.partScan()) {
            arguments.add("--partscan");
        }
        arguments.add(wanted.number().isPresent() ? node(wanted.number().getAsInt()) : "--find");
        arguments.add(wanted.path().toString());
        return arguments;
    }

    /**
     * What this command has bound, whether it failed or not: the device that it named, if that is new and maps our
     * section, else the only such one there is.
     */
    private Optional<LoopDevice> newlyBound(Terms terms, Map<Integer, Long> before, Result result) throws IOException {
        List<FileStat> files = new ArrayList<>(List.of(terms.image()));
        try {
            // losetup went by the path, which may lead elsewhere by now: that has to be undone too.
            files.add(Posix.stat(terms.wanted().path()));
        } catch (PosixException e) {
            LOG.debug("the image's path leads nowhere", e);
        }
        Optional<Integer> named = LosetupJson.number(result.out());
        List<LoopDevice> candidates =
                named.isPresent() ? ours(inspect(named.get()).stream().toList(), terms, files, before) : List.of();
        if (candidates.isEmpty()) {
            candidates = ours(list(), terms, files, before);
        }
        if (candidates.isEmpty() && named.isPresent()) {
            candidates = swappedMeanwhile(named.get(), terms, before);
        }
        if (candidates.size() > 1) {
            throw new LosetupException.KernelError(
                    LosetupException.KernelError.UNKNOWN,
                    "somebody else attaches the same image; nobody can tell which is whose, so left alone: "
                            + candidates.stream().map(LoopDevice::name).collect(Collectors.joining(", ")));
        }
        return candidates.stream().findFirst();
    }

    /**
     * The device that losetup says it bound, of a file to which the path led then and not when we looked: somebody swaps the
     * two. That it leads there again proves it; what cannot be proven is left alone.
     */
    private List<LoopDevice> swappedMeanwhile(int named, Terms terms, Map<Integer, Long> before) throws IOException {
        Optional<LoopDevice> device = inspect(named).filter(found -> terms.isSection(found) && isNew(found, before));
        if (device.isEmpty()) {
            return List.of();
        }
        long deadline = System.nanoTime() + LONGEST_LOOK.toNanos();
        while (System.nanoTime() < deadline) {
            try {
                if (terms.isSection(device.get(), Posix.stat(terms.wanted().path()))) {
                    return List.of(device.get());
                }
            } catch (PosixException e) {
                LOG.trace("between the two", e);
            }
        }
        LOG.warn(
                "losetup says that it bound {}, which maps {} instead of {}: left alone.",
                device.get().name(),
                device.get().backingFile(),
                terms.wanted().path());
        return List.of();
    }

    private static List<LoopDevice> ours(
            List<LoopDevice> devices, Terms terms, List<FileStat> files, Map<Integer, Long> before) {
        return devices.stream()
                .filter(device -> files.stream().anyMatch(file -> terms.isSection(device, file)))
                .filter(device -> isNew(device, before))
                .toList();
    }

    private static boolean isNew(LoopDevice device, Map<Integer, Long> before) {
        return !Long.valueOf(device.diskSeq()).equals(before.get(device.number()));
    }

    /** losetup gives up where the free device that it found has no node. */
    private boolean makeMissingNodes() throws IOException {
        boolean made = false;
        for (int number : sysfs.inventory().devices()) {
            made |= nodes.make(number);
        }
        return made;
    }

    private LosetupException nothingBound(Attachment wanted, Result result) {
        String errno = errnoName(result.err());
        if (wanted.number().isPresent()) {
            int number = wanted.number().getAsInt();
            if (sysfs.isBound(number) || errno.equals("EBUSY")) {
                return new LosetupException.NameTaken(number);
            }
        }
        if (errno.equals("EINVAL")) {
            // The image's type and the section were checked; what is left is the sector size.
            return LosetupException.Refused.sectorSize(wanted.sectorSize());
        }
        if (errno.equals("ENOENT") || errno.equals("ENOTDIR") || errno.equals("ELOOP")) {
            return new LosetupException.Moved(wanted.path());
        }
        return new LosetupException.KernelError(errno, "losetup bound nothing: " + result.complaint());
    }

    static String errnoName(String complaint) {
        String text = complaint.strip();
        return ERRNO_BY_TEXT.getOrDefault(
                text.substring(text.lastIndexOf(": ") + 1).strip(), LosetupException.KernelError.UNKNOWN);
    }

    /** Detaches what this attach has bound, and nothing else: the handle exists only for that very attachment. */
    private void undo(LoopDevice device, LosetupException because) {
        try {
            Optional<LoopHandle> handle = open(device.identity());
            if (handle.isPresent()) {
                try (LoopHandle held = handle.get()) {
                    held.clear();
                }
            }
        } catch (LosetupException e) {
            because.addSuppressed(e);
        }
    }

    @Override
    public Optional<LoopDevice> inspect(int number) throws LosetupException {
        try {
            for (int read = 0; read < READS; read++) {
                long diskSeq = sysfs.diskSeq(number);
                if (!sysfs.isBound(number)) {
                    return Optional.empty();
                }
                Optional<LoopDevice> device = read(number).filter(now -> now.diskSeq() == diskSeq);
                if (device.isPresent()) {
                    return device.map(this::remember);
                }
            }
            throw new LosetupException.KernelError(
                    LosetupException.KernelError.UNKNOWN, "loop" + number + " keeps changing, or hides its image");
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    private Optional<LoopDevice> read(int number) throws IOException {
        nodes.make(number);
        for (Row row : rows(node(number))) {
            if (row.number() == number) {
                return device(row, sysfs.partitionNumbers(number));
            }
        }
        return Optional.empty();
    }

    /** One process reads them all. */
    @Override
    void learn(List<Integer> unknown) throws IOException {
        if (unknown.size() > 1) {
            readAll().forEach(this::remember);
        }
    }

    private List<LoopDevice> readAll() throws LosetupException {
        try {
            SortedMap<Integer, Long> before = sysfs.boundDiskSeqs();
            for (int number : before.keySet()) {
                nodes.make(number);
            }
            Map<Integer, Row> rows = rows().stream().collect(Collectors.toMap(Row::number, row -> row, (a, b) -> a));
            Map<Integer, List<Integer>> partitions = sysfs.inventory().partitions();
            List<LoopDevice> devices = new ArrayList<>();
            TreeSet<Integer> numbers = new TreeSet<>(before.keySet());
            numbers.addAll(rows.keySet());
            for (int number : numbers) {
                // A row belongs to the generation that sysfs showed before and shows after; else that one is read anew.
                Row row = rows.get(number);
                List<Integer> found = partitions.getOrDefault(number, List.of());
                unlessBroken(number, () -> {
                            Optional<LoopDevice> device = row == null ? Optional.empty() : device(row, found);
                            return device.isPresent() && !isNew(device.get(), before) ? device : inspect(number);
                        })
                        .ifPresent(devices::add);
            }
            return devices;
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
    }

    private List<Row> rows(String... named) throws IOException {
        List<String> arguments = new ArrayList<>(List.of("--list", "--json", "--output=" + LosetupJson.COLUMNS));
        arguments.addAll(List.of(named));
        Result result = losetup.run(arguments);
        if (result.timedOut()) {
            throw timedOut("list");
        }
        // A named device that has ceased to exist makes it fail, a vanished one in a list only warn: both say nothing.
        if (result.exit() != 0 && named.length == 0) {
            throw new LosetupException.KernelError(errnoName(result.err()), "losetup --list: " + result.complaint());
        }
        return LosetupJson.parse(result.out());
    }

    private Optional<LoopDevice> device(Row row, List<Integer> partitionNumbers) throws IOException {
        Optional<Attributes> attributes = sysfs.attributes(row.number());
        List<Partition> partitions = sysfs.partitions(row.number(), partitionNumbers);
        Optional<DeviceNumber> backingNode = backingNode(row);
        if (backingNode.isEmpty()) {
            return Optional.empty();
        }
        return attributes.map(is -> {
            BackingFile backing = BackingFile.of(is.backingText(), row.backingDevice(), row.backingInode());
            return new LoopDevice(
                    row.number(),
                    is.node(),
                    is.sizeBytes(),
                    is.sectorSize(),
                    row.offsetBytes(),
                    row.sizeLimitBytes(),
                    row.readOnly(),
                    is.directIo(),
                    row.autoclear(),
                    row.partScan(),
                    is.diskSeq(),
                    backing.path(),
                    backing.deleted(),
                    row.backingDevice(),
                    row.backingInode(),
                    backingNode.get(),
                    partitions,
                    "");
        });
    }

    /** What losetup does not tell; empty where another image is bound by now, or none. */
    private Optional<DeviceNumber> backingNode(Row row) throws IOException {
        try (Fd device = nodes.open(row.number(), Posix.O_RDONLY)) {
            return LoopIoctls.status(device)
                    .filter(is -> is.backingInode() == row.backingInode()
                            && is.backingDevice().equals(row.backingDevice()))
                    .map(Status::backingNode);
        } catch (PosixException e) {
            if (LoopNodes.isAbsent(e)) {
                return Optional.empty();
            }
            throw e;
        }
    }

    @Override
    OpenHandle handle(Fd device, LoopIdentity identity) {
        return new Handle(device, identity);
    }

    /** losetup finds a device's directory in sysfs only where its name begins with /dev. */
    private static String node(int number) {
        return "/dev/loop" + number;
    }

    private static LosetupException.TimedOut timedOut(String act) {
        return new LosetupException.TimedOut("losetup did not finish in time, and was killed: " + act);
    }

    private final class Handle extends OpenHandle {

        Handle(Fd device, LoopIdentity identity) {
            super(device, identity, nodes, sysfs);
        }

        @Override
        public LoopDevice inspect() throws LosetupException {
            return LosetupCommand.this
                    .inspect(identity.number())
                    .filter(now -> now.identity().equals(identity))
                    .orElseThrow(() -> new LosetupException.Gone(identity));
        }

        /** {@code losetup -d} exits 0 whatever comes of it; what counts is that the kernel has taken note. */
        @Override
        public void clear() throws LosetupException {
            Result result = run("--detach", node(identity.number()));
            try {
                if (sysfs.isBound(identity) && !sysfs.isAutoclear(identity.number())) {
                    throw new LosetupException.KernelError(
                            errnoName(result.err()), "losetup --detach: " + result.complaint());
                }
            } catch (IOException e) {
                throw LosetupException.of(e);
            }
        }

        /**
         * The only command that clears AUTOCLEAR is one that attaches, and takes an equal device where there is one.
         * So it is run only where it must find this device: where the image's name still leads to the image, and no
         * other device maps it, whose AUTOCLEAR (a {@code mount -o loop} lives by it) would be cleared instead.
         */
        @Override
        void requestRetain() throws LosetupException {
            LoopDevice now = inspect();
            if (!now.autoclear()) {
                return;
            }
            if (!isNamed(now)) {
                throw new LosetupException.Refused("autoclear", "the image's name no longer leads to it");
            }
            attaching.lock();
            try {
                SortedMap<Integer, Long> before = sysfs.boundDiskSeqs();
                for (LoopDevice other : list()) {
                    if (other.number() != now.number()
                            && other.backingInode() == now.backingInode()
                            && other.backingDevice().equals(now.backingDevice())) {
                        throw new LosetupException.Refused("autoclear", other.name() + " maps the same image");
                    }
                }
                List<String> arguments =
                        new ArrayList<>(List.of("--nooverlap", "--find", "--show", "--offset=" + now.offsetBytes()));
                if (now.sizeLimitBytes() > 0) {
                    arguments.add("--sizelimit=" + now.sizeLimitBytes());
                }
                if (now.readOnly()) {
                    arguments.add("--read-only");
                }
                arguments.add(now.backingFile());
                Result result = run(arguments.toArray(String[]::new));
                undoAnother(now, before, result);
            } catch (IOException e) {
                throw LosetupException.of(e);
            } finally {
                attaching.unlock();
            }
        }

        @Override
        public boolean canRetain() throws LosetupException {
            return isNamed(inspect());
        }

        private static boolean isNamed(LoopDevice device) throws LosetupException {
            return !device.backingFileDeleted()
                    && BackingFile.leadsTo(device.backingFile(), device.backingDevice(), device.backingInode());
        }

        /** Where it attached anew after all, that is taken down again. */
        private void undoAnother(LoopDevice now, Map<Integer, Long> before, Result result) throws LosetupException {
            Optional<Integer> named = LosetupJson.number(result.out());
            if (named.isPresent() && named.get() != now.number()) {
                LosetupException failure = new LosetupException.Refused("autoclear", "losetup took another device");
                inspect(named.get())
                        .filter(another -> another.backingInode() == now.backingInode()
                                && another.backingDevice().equals(now.backingDevice())
                                && isNew(another, before))
                        .ifPresent(another -> undo(another, failure));
                throw failure;
            }
        }

        private Optional<LoopDevice> inspect(int number) throws LosetupException {
            return LosetupCommand.this.inspect(number);
        }

        @Override
        void requestSize() throws LosetupException {
            Result result = run("--set-capacity", node(identity.number()));
            if (result.exit() != 0) {
                throw new LosetupException.KernelError(
                        errnoName(result.err()), "losetup --set-capacity: " + result.complaint());
            }
        }

        @Override
        void requestDirectIo(boolean on) throws LosetupException {
            run("--direct-io=" + (on ? "on" : "off"), node(identity.number()));
        }

        @Override
        void requestSectorSize(int bytes) throws LosetupException {
            Result result = run("--sector-size=" + bytes, node(identity.number()));
            if (result.exit() != 0) {
                String errno = errnoName(result.err());
                throw errno.equals("EINVAL")
                        ? LosetupException.Refused.sectorSize(bytes)
                        : new LosetupException.KernelError(errno, "losetup --sector-size: " + result.complaint());
            }
        }

        private Result run(String... arguments) throws LosetupException {
            try {
                if (!sysfs.isBound(identity)) {
                    throw new LosetupException.Gone(identity);
                }
                Result result = losetup.run(List.of(arguments));
                if (result.timedOut()) {
                    throw timedOut(String.join(" ", arguments));
                }
                return result;
            } catch (IOException e) {
                throw LosetupException.of(e);
            }
        }
    }
}
