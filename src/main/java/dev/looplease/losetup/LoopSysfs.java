package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What sysfs tells of loop devices, opening none of them. The directory {@code loopN/loop} exists while something is
 * bound ({@code loop_sysfs_init} in {@code drivers/block/loop.c}). Anything may vanish between two looks; that is an
 * empty answer, not an error.
 */
final class LoopSysfs {

    private static final Pattern NAME = Pattern.compile("loop(\\d{1,7})(?:p(\\d{1,9}))?");
    private static final int SECTOR = 512;

    /** The directory of the devices' directories. */
    private final Path block;
    /**
     * The same, held as long as the process lives. Each component of a path in sysfs is looked up under a lock that whoever
     * attaches or detaches anything on the host takes for himself.
     */
    private final Fd held;

    private final Path everyBlock;
    private final Path byNumber;
    /** Of a bound device's directory; 0 until one was seen. */
    private volatile int linksWithoutPartitions;

    /** @param sys where sysfs is mounted */
    LoopSysfs(Path sys) {
        // In /sys/block there are but symbolic links to it; a fifth of a busy agent's time went into following them.
        Path virtual = sys.resolve("devices/virtual/block");
        block = Files.isDirectory(virtual) ? virtual : sys.resolve("block");
        try {
            held = Posix.open(block, Posix.O_PATH | Posix.O_DIRECTORY);
        } catch (IOException e) {
            throw new UncheckedIOException("sysfs is not mounted at " + sys, e);
        }
        everyBlock = sys.resolve("class/block");
        byNumber = sys.resolve("dev/block");
    }

    /** All loop devices, bound or not, and the numbers of their partitions. */
    record Inventory(SortedSet<Integer> devices, Map<Integer, List<Integer>> partitions) {}

    /** What losetup does not tell, or only a new one. */
    record Attributes(
            DeviceNumber node, long sizeBytes, int sectorSize, boolean directIo, long diskSeq, String backingText) {}

    /** Both come from one directory: a look into each device's own costs more than all the rest. */
    Inventory inventory() throws IOException {
        SortedSet<Integer> devices = new TreeSet<>();
        Map<Integer, List<Integer>> partitions = new HashMap<>();
        try (DirectoryStream<Path> names = Files.newDirectoryStream(everyBlock, "loop*")) {
            for (Path name : names) {
                Matcher match = NAME.matcher(name.getFileName().toString());
                if (match.matches()) {
                    int number = Integer.parseInt(match.group(1));
                    if (match.group(2) == null) {
                        devices.add(number);
                    } else {
                        partitions
                                .computeIfAbsent(number, n -> new ArrayList<>())
                                .add(Integer.parseInt(match.group(2)));
                    }
                }
            }
        }
        return new Inventory(devices, partitions);
    }

    /** The numbers of all loop devices, bound or not. Half the price of {@link #inventory}. */
    List<Integer> numbers() throws IOException {
        String[] names = block.toFile().list();
        if (names == null) {
            throw new IOException(block + " cannot be read");
        }
        List<Integer> numbers = new ArrayList<>();
        for (String name : names) {
            if (name.startsWith("loop") && NAME.matcher(name).matches()) {
                numbers.add(Integer.parseInt(name.substring("loop".length())));
            }
        }
        numbers.sort(Comparator.naturalOrder());
        return numbers;
    }

    /** Whether a device's directory is found by the number of its node, as losetup does; there may be no device to try. */
    boolean isSearchable() throws IOException {
        for (int number : numbers()) {
            Optional<DeviceNumber> node = node(number);
            if (node.isPresent()) {
                return Files.exists(byNumber.resolve(node.get().toString()));
            }
        }
        return true;
    }

    /** The bound ones' numbers and their generations. */
    SortedMap<Integer, Long> boundDiskSeqs() throws IOException {
        SortedMap<Integer, Long> bound = new TreeMap<>();
        for (int number : inventory().devices()) {
            if (isBound(number)) {
                bound.put(number, diskSeq(number));
            }
        }
        return bound;
    }

    boolean exists(int number) {
        return exists(name(number));
    }

    boolean isBound(int number) {
        return exists(name(number) + "/loop");
    }

    private boolean exists(String relative) {
        try {
            return Posix.existsAt(held, relative);
        } catch (IOException e) {
            throw new UncheckedIOException("sysfs cannot be read", e);
        }
    }

    boolean isBound(LoopIdentity identity) {
        int number = identity.number();
        try {
            if (!isBound(number) || diskSeq(number) != identity.diskSeq()) {
                return false;
            }
            if (identity.diskSeq() != 0) {
                return true;
            }
            // Before 5.15 only the image can tell. Where its name is gone nobody can: then it may be that attachment.
            Optional<String> image = backingText(number);
            return image.isPresent()
                    && (!Files.exists(Path.of(image.get()))
                            || BackingFile.leadsTo(image.get(), identity.backingDevice(), identity.backingInode()));
        } catch (IOException e) {
            throw new UncheckedIOException("sysfs cannot be read", e);
        }
    }

    boolean isAutoclear(int number) throws IOException {
        return isSet(number, "loop/autoclear");
    }

    boolean isPartScan(int number) throws IOException {
        return isSet(number, "loop/partscan");
    }

    private boolean isSet(int number, String flag) throws IOException {
        return attribute(number, flag).filter("1"::equals).isPresent();
    }

    /** 0 where there is none, be it the device or, before 5.15, the number. */
    long diskSeq(int number) throws IOException {
        return attribute(number, "diskseq").map(Long::parseLong).orElse(0L);
    }

    /** The image's name as the kernel prints it; empty where nothing is bound. */
    Optional<String> backingText(int number) throws IOException {
        return attribute(number, "loop/backing_file");
    }

    /** The number of the device's node. */
    Optional<DeviceNumber> node(int number) throws IOException {
        return attribute(number, "dev").map(DeviceNumber::parse);
    }

    /** That attachment with what may have changed since it was read; empty where it has ended. */
    Optional<LoopDevice> again(LoopDevice before, List<Integer> partitionNumbers) throws IOException {
        int number = before.number();
        Optional<String> size = attribute(number, "size");
        Optional<String> sectorSize = attribute(number, "queue/logical_block_size");
        Optional<String> text = backingText(number);
        boolean autoclear = isAutoclear(number);
        boolean directIo = isSet(number, "loop/dio");
        boolean partScan = isPartScan(number);
        List<Partition> partitions = partitions(number, partitionNumbers);
        // Read last: it only rises, so that all of the above belongs to that attachment.
        if (size.isEmpty() || sectorSize.isEmpty() || text.isEmpty() || diskSeq(number) != before.diskSeq()) {
            return Optional.empty();
        }
        BackingFile backing = text.get().equals(before.backingFile()) && !before.backingFileDeleted()
                ? new BackingFile(before.backingFile(), false)
                : BackingFile.of(text.get(), before.backingDevice(), before.backingInode());
        return Optional.of(new LoopDevice(
                number,
                before.node(),
                Long.parseLong(size.get()) * SECTOR,
                Integer.parseInt(sectorSize.get()),
                before.offsetBytes(),
                before.sizeLimitBytes(),
                before.readOnly(),
                directIo,
                autoclear,
                partScan,
                before.diskSeq(),
                backing.path(),
                backing.deleted(),
                before.backingDevice(),
                before.backingInode(),
                before.backingNode(),
                partitions,
                before.tag()));
    }

    /** Empty where nothing is bound. */
    Optional<Attributes> attributes(int number) throws IOException {
        Optional<DeviceNumber> node = node(number);
        Optional<String> size = attribute(number, "size");
        Optional<String> sectorSize = attribute(number, "queue/logical_block_size");
        Optional<String> backing = backingText(number);
        if (node.isEmpty() || size.isEmpty() || sectorSize.isEmpty() || backing.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new Attributes(
                node.get(),
                Long.parseLong(size.get()) * SECTOR,
                Integer.parseInt(sectorSize.get()),
                attribute(number, "loop/dio").filter("1"::equals).isPresent(),
                diskSeq(number),
                backing.get()));
    }

    /**
     * The numbers of one device's partitions, from its own directory. Listing that waits for whoever attaches or detaches
     * anything on the host, and most devices have none: a partition is a directory, which counts as a link of the one
     * around it ({@code kernfs_refresh_inode} in {@code fs/kernfs/inode.c}), and all other directories of a bound device are
     * the same on one kernel. So where there are no more links than a bound one without partitions was seen to have, there
     * is none.
     */
    List<Integer> partitionNumbers(int number) throws IOException {
        int links;
        try {
            links = Posix.statAt(held, name(number)).links();
        } catch (PosixException e) {
            return List.of();
        }
        if (links <= linksWithoutPartitions) {
            return List.of();
        }
        List<Integer> found = new ArrayList<>();
        String prefix = "loop" + number + "p";
        boolean bound = false;
        // Null where there is no such device. (A DirectoryStream makes twice as many calls.)
        String[] names = block.resolve(name(number)).toFile().list();
        for (String name : names == null ? new String[0] : names) {
            bound |= name.equals("loop");
            if (name.startsWith(prefix)) {
                found.add(Integer.parseInt(name.substring(prefix.length())));
            }
        }
        if (bound && found.isEmpty() && Posix.statAt(held, name(number)).links() == links) {
            linksWithoutPartitions = links;
        }
        return found;
    }

    List<Partition> partitions(int number, List<Integer> found) throws IOException {
        List<Partition> partitions = new ArrayList<>();
        for (int partition : found) {
            String name = "loop" + number + "p" + partition;
            Optional<DeviceNumber> node = attribute(number, name + "/dev").map(DeviceNumber::parse);
            Optional<String> start = attribute(number, name + "/start");
            Optional<String> size = attribute(number, name + "/size");
            if (node.isPresent() && start.isPresent() && size.isPresent()) {
                partitions.add(new Partition(
                        partition,
                        name,
                        node.get(),
                        Long.parseLong(start.get()) * SECTOR,
                        Long.parseLong(size.get()) * SECTOR));
            }
        }
        partitions.sort(Comparator.comparingInt(Partition::number));
        return partitions;
    }

    private static String name(int number) {
        return "loop" + number;
    }

    private Optional<String> attribute(int number, String name) throws IOException {
        String file = name(number) + "/" + name;
        try {
            // A file name need not be UTF-8: a stranger's odd one must not fail the whole list.
            String text = new String(Posix.readAttribute(held, file), StandardCharsets.UTF_8);
            return Optional.of(text.endsWith("\n") ? text.substring(0, text.length() - 1) : text);
        } catch (IOException e) {
            // ENODEV when it vanishes between open and read; it may be there anew by now. What is still there and
            // cannot be
            // read is an error.
            if (!wasAbsent(e) && Posix.existsAt(held, file)) {
                throw e;
            }
            return Optional.empty();
        }
    }

    private static boolean wasAbsent(IOException failure) {
        return failure instanceof PosixException posix
                && (posix.errno() == Errno.ENOENT || posix.errno() == Errno.ENODEV);
    }
}
