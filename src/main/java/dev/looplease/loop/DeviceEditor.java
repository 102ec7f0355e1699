package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.image.ImageException;
import dev.looplease.image.ImageFile;
import dev.looplease.image.ImageStore;
import dev.looplease.image.OpenImage;
import dev.looplease.losetup.DirectIo;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.LoopIdentity;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.LosetupException;
import dev.looplease.usage.DeviceUser;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.ToLongFunction;

/** Changes a device that stays: size, sector size, direct I/O, labels. All of a change or nothing. */
final class DeviceEditor {

    private final LoopRegistry registry;
    private final Inventory inventory;
    private final Losetup losetup;
    private final ImageStore images;
    private final Teardown teardown;
    private final Limits limits;

    DeviceEditor(
            LoopRegistry registry,
            Inventory inventory,
            Losetup losetup,
            ImageStore images,
            Teardown teardown,
            Limits limits) {
        this.registry = registry;
        this.inventory = inventory;
        this.losetup = losetup;
        this.images = images;
        this.teardown = teardown;
        this.limits = limits;
    }

    /**
     * For a caller that holds the device's {@link ManagedLoop#work()}.
     *
     * @param quota what its owner may have
     * @param last what belongs to the change and cannot be reversed
     */
    void edit(ManagedLoop loop, LoopPatch patch, Quota quota, Runnable last) throws IOException {
        Undo undo = new Undo();
        try {
            // The smaller of two sector sizes divides whatever the larger one does: with it the size is changed.
            boolean finer = patch.sectorSize().orElse(Integer.MAX_VALUE)
                    < loop.standing().sectorSize();
            if (finer) {
                setSectorSize(loop, patch.sectorSize().getAsInt(), undo);
            }
            if (patch.sizeBytes().isPresent()) {
                resize(loop, patch.sizeBytes().getAsLong(), patch.allowShrink(), quota, undo);
            }
            if (patch.sectorSize().isPresent() && !finer) {
                setSectorSize(loop, patch.sectorSize().getAsInt(), undo);
            }
            if (patch.directIo().isPresent()) {
                setDirectIo(loop, patch.directIo().get(), undo);
            }
            if (patch.labels().isPresent()) {
                Map<String, String> before = loop.standing().labels();
                registry.change(loop, now -> now.withLabels(patch.labels().get()));
                undo.push(() -> registry.insist(loop, now -> now.withLabels(before)));
            }
            last.run();
        } catch (ImageException.NotFound | ImageException.Replaced e) {
            LoopException.WrongState nameless = new LoopException.WrongState(Failures.NAMELESS, e);
            undo.run(nameless);
            throw nameless;
        } catch (IOException | RuntimeException e) {
            undo.run(e);
            throw e;
        }
    }

    private void resize(ManagedLoop loop, long bytes, boolean allowShrink, Quota quota, Undo undo) throws IOException {
        LoopSpec spec = loop.spec();
        ImageFile image = currentImage(loop);
        long before = image.sizeBytes();
        limits.checkImageBytes(OptionalLong.of(bytes));
        new Violations()
                .require(
                        spec.sizeLimitBytes() == 0 || bytes == before,
                        "sizeBytes",
                        "cannot change: the device maps a fixed section (sizeLimitBytes " + spec.sizeLimitBytes() + ")")
                .require(!spec.readOnly() || bytes == before, "sizeBytes", "cannot change: the device is read-only")
                .require(
                        bytes >= before || allowShrink,
                        "sizeBytes",
                        "is below the present " + before + ": shrinking destroys what lies behind the new end; send"
                                + " allowShrink: true if that is meant")
                .throwIfAny();
        long section = Section.check(
                bytes,
                spec.offsetBytes(),
                spec.sizeLimitBytes(),
                loop.standing().sectorSize());
        if (bytes < before) {
            refuseIfUsed(loop);
        }
        if (loop.ownsImage()) {
            long promised = loop.standing().promisedBytes();
            registry.promise(loop, bytes, quota);
            undo.push(() -> registry.promiseAgain(loop, promised));
            Step.RESIZE_PROMISED.reached();
        }
        ImageFile resized = bytes == before ? image : images.resize(image, bytes, spec.allocation());
        undo.push(() -> {
            ImageFile restored = bytes == before ? image : images.resize(resized, before, Allocation.SPARSE);
            Step.RESIZE_FILE_RESTORED.reached();
            registry.insist(loop, now -> now.with(restored));
            held(loop, LoopHandle::refreshSize);
        });
        Step.RESIZE_FILE.reached();
        registry.change(loop, now -> now.with(resized));
        Step.RESIZE_RECORDED.reached();
        held(loop, LoopHandle::refreshSize);
        confirm(loop, "bytes", LoopDevice::sizeBytes, section);
        Step.RESIZE_DEVICE.reached();
    }

    private void setSectorSize(ManagedLoop loop, int bytes, Undo undo) throws IOException {
        LoopSpec spec = loop.spec();
        int before = loop.standing().sectorSize();
        if (bytes == before) {
            return;
        }
        Section.check(currentImage(loop).sizeBytes(), spec.offsetBytes(), spec.sizeLimitBytes(), bytes);
        refuseIfUsed(loop);
        undo.push(() -> {
            held(loop, handle -> handle.setSectorSize(before));
            registry.insist(loop, now -> now.withSectorSize(before));
        });
        held(loop, handle -> handle.setSectorSize(bytes));
        Step.SECTOR_SIZE_DEVICE.reached();
        confirm(loop, "bytes in a sector", LoopDevice::sectorSize, bytes);
        registry.change(loop, now -> now.withSectorSize(bytes));
    }

    private void setDirectIo(ManagedLoop loop, DirectIo wanted, Undo undo) throws IOException {
        DirectIo before = loop.standing().directIo();
        Optional<LoopDevice> device = inventory.attachment(loop);
        if (device.isPresent()) {
            boolean was = device.get().directIo();
            undo.push(() -> held(loop, handle -> handle.setDirectIo(was)));
            try {
                held(loop, handle -> handle.setDirectIo(wanted != DirectIo.OFF));
            } catch (LosetupException.NotGranted e) {
                if (wanted != DirectIo.PREFER) {
                    throw e;
                }
            }
            Step.DIRECT_IO_DEVICE.reached();
        }
        undo.push(() -> registry.insist(loop, now -> now.with(before)));
        registry.change(loop, now -> now.with(wanted));
    }

    /** Looks at the device once more: what the driver answered to the change itself is no proof of it. */
    private void confirm(ManagedLoop loop, String what, ToLongFunction<LoopDevice> property, long wanted) {
        Optional<LoopDevice> device = inventory.attachment(loop);
        if (device.isPresent() && property.applyAsLong(device.get()) != wanted) {
            throw new LoopException.KernelFailure(
                    "The device has " + property.applyAsLong(device.get()) + " " + what + " instead of " + wanted + ".",
                    "EINVAL",
                    null);
        }
    }

    private interface DeviceWork {
        LoopDevice on(LoopHandle handle) throws LosetupException;
    }

    /** Works on the attached device; does nothing where there is none. */
    private Optional<LoopDevice> held(ManagedLoop loop, DeviceWork work) throws IOException {
        LoopIdentity attachment = loop.standing().attachment();
        if (attachment == null) {
            return Optional.empty();
        }
        try (LoopHandle handle =
                losetup.open(attachment).orElseThrow(() -> new LoopException.WrongState(Failures.DETACHED_BEHIND_US))) {
            return Optional.of(work.on(handle));
        }
    }

    private void refuseIfUsed(ManagedLoop loop) throws IOException {
        Optional<LoopDevice> device = inventory.attachment(loop);
        if (device.isPresent()) {
            List<DeviceUser> users = teardown.users(device.get());
            if (!users.isEmpty()) {
                throw new LoopException.DeviceBusy(device.get().name(), users);
            }
        }
    }

    /** The image as it is on the disk now: a reused file may have been resized by its user. */
    private ImageFile currentImage(ManagedLoop loop) throws IOException {
        try (OpenImage image = images.reopen(loop.image(), loop.spec().readOnly())) {
            return image.file();
        }
    }
}
