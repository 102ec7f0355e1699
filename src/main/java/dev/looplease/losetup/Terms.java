package dev.looplease.losetup;

import dev.looplease.posix.FileStat;
import dev.looplease.posix.Posix;
import java.io.IOException;

/**
 * What an attachment must come to, known before anything is bound, and compared with what the kernel did. The kernel
 * clips a section that leaves the image to what is there, down to an empty device, and calls it success.
 *
 * @param image what stands behind the image's descriptor
 * @param sizeBytes how large the device must become
 */
record Terms(Attachment wanted, FileStat image, long sizeBytes) {

    /** Refuses what the kernel would clip. */
    static Terms of(Attachment wanted) throws LosetupException {
        FileStat image;
        try {
            image = Posix.stat(wanted.image());
        } catch (IOException e) {
            throw LosetupException.of(e);
        }
        if (!image.isRegularFile()) {
            throw new LosetupException.Refused("image", "not a regular file");
        }
        long rest = image.sizeBytes() - wanted.offsetBytes();
        if (rest <= 0) {
            throw new LosetupException.Refused(
                    "offsetBytes", "the image has " + image.sizeBytes() + " bytes; no section begins there");
        }
        if (wanted.sizeLimitBytes() > rest) {
            throw new LosetupException.Refused(
                    "sizeLimitBytes", "from that offset the image has only " + rest + " bytes");
        }
        long size = wanted.sizeLimitBytes() == 0 ? rest : wanted.sizeLimitBytes();
        if (size % wanted.sectorSize() != 0) {
            throw new LosetupException.Refused(
                    "sectorSize", "the section of " + size + " bytes is no multiple of " + wanted.sectorSize());
        }
        return new Terms(wanted, image, size);
    }

    /** Whether that device maps that section of that file. */
    boolean isSection(LoopDevice device, FileStat file) {
        return device.backingInode() == file.inode()
                && device.backingDevice().equals(file.device())
                && isSection(device);
    }

    /** Whether that device maps that section, of whatever file. */
    boolean isSection(LoopDevice device) {
        return device.offsetBytes() == wanted.offsetBytes() && device.sizeLimitBytes() == wanted.sizeLimitBytes();
    }

    /** Throws where the kernel did something else than was asked; undoing it is the caller's. */
    void confirm(LoopDevice got) throws LosetupException {
        if (got.backingInode() != image.inode() || !got.backingDevice().equals(image.device())) {
            throw new LosetupException.Moved(wanted.path());
        }
        LosetupException.expect("number", wanted.number().orElse(got.number()), got.number());
        LosetupException.expect("readOnly", wanted.readOnly(), got.readOnly());
        LosetupException.expect("offsetBytes", wanted.offsetBytes(), got.offsetBytes());
        LosetupException.expect("sizeLimitBytes", wanted.sizeLimitBytes(), got.sizeLimitBytes());
        LosetupException.expect("sectorSize", wanted.sectorSize(), got.sectorSize());
        LosetupException.expect("sizeBytes", sizeBytes, got.sizeBytes());
        LosetupException.expect("partScan", wanted.partScan(), got.partScan());
        if (wanted.directIo() != DirectIo.PREFER) {
            LosetupException.expect("directIo", wanted.directIo() == DirectIo.REQUIRE, got.directIo());
        }
    }
}
