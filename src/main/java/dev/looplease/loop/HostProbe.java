package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.image.Deletion;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.OpenImage;
import dev.looplease.losetup.Attachment;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import dev.looplease.posix.Posix;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What this host's kernel can do with loop devices, found out by trying it once on a small device of our own: kernel
 * versions and configurations say too little.
 */
public final class HostProbe {

    private static final Logger log = LoggerFactory.getLogger(HostProbe.class);

    private static final long IMAGE_BYTES = 1024 * 1024;
    private static final int LARGEST_TRIED = 1024 * 1024;

    private final Losetup losetup;
    private final ImageStore images;
    private @Nullable Abilities found;

    /**
     * What was found.
     *
     * @param partitionScan whether the kernel finds partitions by itself
     * @param directIo whether images in the images directory can be read and written directly
     * @param largestSectorSize in bytes
     */
    public record Abilities(boolean partitionScan, boolean directIo, int largestSectorSize) {}

    public HostProbe(Losetup losetup, ImageStore images) {
        this.losetup = losetup;
        this.images = images;
    }

    /**
     * Tries once and remembers.
     *
     * @throws LoopException when there is no room, or the kernel refuses a plain device
     */
    public synchronized Abilities abilities() {
        if (found == null) {
            try {
                found = probe();
            } catch (IOException e) {
                throw Failures.of(e);
            }
            log.info("This host can do: {}", found);
        }
        return found;
    }

    private Abilities probe() throws IOException {
        ImageFile image = null;
        try (OpenImage open = images.create(Ids.next(), null, IMAGE_BYTES, Allocation.SPARSE)) {
            image = open.file();
            try (Arena arena = Arena.ofConfined()) {
                Posix.pwrite(open.fd(), arena.allocateFrom(ValueLayout.JAVA_BYTE, onePartition()), 0);
            }
            return probe(open);
        } finally {
            if (image != null && images.delete(image) != Deletion.DELETED) {
                log.warn("The image that was made to try things has vanished.");
            }
        }
    }

    private Abilities probe(OpenImage image) throws IOException {
        LoopDevice device = losetup.attach(new Attachment(
                image.fd(),
                image.file().path(),
                0,
                0,
                LoopSpec.SECTOR_BYTES,
                false,
                true,
                DirectIo.PREFER,
                OptionalInt.empty(),
                "looplease:probe"));
        try (LoopHandle handle = losetup.open(device.identity()).orElseThrow()) {
            try {
                return new Abilities(!device.partitions().isEmpty(), device.directIo(), largestSectorSize(handle));
            } finally {
                handle.clear();
            }
        }
    }

    private static int largestSectorSize(LoopHandle handle) throws LosetupException {
        int largest = LoopSpec.SECTOR_BYTES;
        for (int bytes = largest * 2; bytes <= LARGEST_TRIED; bytes *= 2) {
            try {
                handle.setSectorSize(bytes);
                largest = bytes;
            } catch (LosetupException.Refused e) {
                break;
            }
        }
        return largest;
    }

    /** A master boot record with one Linux partition: the oldest table, known to every parser. */
    private static byte[] onePartition() {
        ByteBuffer sector = ByteBuffer.allocate(LoopSpec.SECTOR_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        sector.put(446 + 4, (byte) 0x83);
        sector.putInt(446 + 8, 8);
        sector.putInt(446 + 12, 64);
        sector.putShort(510, (short) 0xAA55);
        return sector.array();
    }
}
