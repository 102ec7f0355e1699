package dev.looplease.usage;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.looplease.posix.Errno;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Deletes partitions from the kernel's view; the table on the disk stays. Layouts are those of {@code <linux/blkpg.h>}. */
final class Partitions {

    private static final long BLKPG = 0x1269;
    private static final int BLKPG_DEL_PARTITION = 2;
    private static final int PARTITION_BYTES = 152;

    private Partitions() {}

    /** One that is in use stays. */
    static void dropUnused(HostTree tree, BlockTarget device) throws IOException {
        drop(tree, device, Partitions::deleteUnlessUsed);
    }

    static void drop(HostTree tree, BlockTarget device) throws IOException {
        drop(tree, device, Partitions::delete);
    }

    private interface Deletion {
        void of(Fd node, int number) throws IOException;
    }

    private static void drop(HostTree tree, BlockTarget device, Deletion deletion) throws IOException {
        BlockTarget now = Sysfs.withPartitions(tree, device);
        if (now.partitions().isEmpty()) {
            return;
        }
        try (Fd node = Posix.open(tree.node(device.name()), Posix.O_RDONLY | Posix.O_NONBLOCK)) {
            if (!Posix.stat(node).represents().equals(device.number())) {
                throw new IOException(tree.node(device.name()) + " is not the node of " + device.number());
            }
            for (BlockTarget.Part part : now.partitions()) {
                deletion.of(node, part.number());
            }
        }
    }

    private static void deleteUnlessUsed(Fd node, int number) throws IOException {
        try {
            delete(node, number);
        } catch (PosixException e) {
            if (e.errno() != Errno.EBUSY) {
                throw e;
            }
        }
    }

    private static void delete(Fd node, int number) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment partition = arena.allocate(PARTITION_BYTES, 8);
            partition.set(JAVA_INT, 16, number);
            MemorySegment argument = arena.allocate(24, 8);
            argument.set(JAVA_INT, 0, BLKPG_DEL_PARTITION);
            argument.set(JAVA_INT, 8, PARTITION_BYTES);
            argument.set(ADDRESS, 16, partition);
            Posix.ioctl(node, "BLKPG_DEL_PARTITION " + number, BLKPG, argument);
        } catch (PosixException e) {
            if (e.errno() != Errno.ENXIO) { // no such partition: already gone
                throw e;
            }
        }
    }
}
