package dev.looplease.loop;

import dev.looplease.losetup.LoopDevice;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A loop device of the host as it was at one moment: ours, attached or not, or a foreign one.
 *
 * @param managed what the agent knows of it; empty for a foreign one
 * @param observed what the kernel says of it; empty when it is not attached
 */
public record LoopSnapshot(Optional<Managed> managed, Optional<LoopDevice> observed) {

    /** No path is empty. */
    private static final String NO_FILE = "";

    /**
     * The agent's part.
     *
     * @param image the image's path
     * @param imageInPlace whether it was found there
     * @param imageBytes its length; null where it is gone
     * @param allocatedBytes what it occupies on the disk
     */
    public record Managed(
            String id,
            String etag,
            LoopState state,
            String owner,
            Instant createTime,
            Map<String, String> labels,
            @Nullable String image,
            boolean imageInPlace,
            @Nullable Long imageBytes,
            long allocatedBytes,
            long offsetBytes,
            long sizeLimitBytes,
            int sectorSize,
            boolean readOnly,
            boolean partScan,
            LeaseSnapshot lease) {

        private Managed redacted() {
            return new Managed(
                    id,
                    etag,
                    state,
                    owner,
                    createTime,
                    Map.of(),
                    null,
                    false,
                    imageBytes,
                    allocatedBytes,
                    offsetBytes,
                    sizeLimitBytes,
                    sectorSize,
                    readOnly,
                    partScan,
                    lease.redacted());
        }
    }

    /** The same without what its owner alone should know: labels, and where its file lies. */
    LoopSnapshot redacted() {
        return new LoopSnapshot(managed.map(Managed::redacted), observed.map(LoopSnapshot::withoutFile));
    }

    private static LoopDevice withoutFile(LoopDevice device) {
        return new LoopDevice(
                device.number(),
                device.node(),
                device.sizeBytes(),
                device.sectorSize(),
                device.offsetBytes(),
                device.sizeLimitBytes(),
                device.readOnly(),
                device.directIo(),
                device.autoclear(),
                device.partScan(),
                device.diskSeq(),
                NO_FILE,
                device.backingFileDeleted(),
                device.backingDevice(),
                device.backingInode(),
                device.backingNode(),
                device.partitions(),
                "");
    }

    /**
     * The image where the agent knows it to be, else as the kernel names it; empty where it is not to be told. The kernel's
     * name follows a file that was moved, but it begins only at the innermost mount point once the mount namespace is gone
     * in which the device was attached, an earlier agent's container.
     */
    public Optional<String> backingFile() {
        return managed.filter(Managed::imageInPlace)
                .map(Managed::image)
                .or(() -> observed.map(LoopDevice::backingFile))
                .or(() -> managed.map(Managed::image))
                .filter(file -> !file.equals(NO_FILE));
    }

    /** Whether the file has no name any more, as far as that is known: by the kernel, or because it is not at its path. */
    public boolean backingFileDeleted() {
        return observed.map(LoopDevice::backingFileDeleted)
                .orElseGet(() -> managed.filter(ours -> ours.image() != null && !ours.imageInPlace())
                        .isPresent());
    }

    /** A strong entity tag: of ours the revision; of a foreign one its binding, and what may change during it. */
    public String etag() {
        return managed.map(Managed::etag)
                .orElseGet(() -> observed.map(LoopSnapshot::foreignEtag).orElseThrow());
    }

    /** Whose it is; null for a foreign one. */
    @Nullable
    String owner() {
        return managed.map(Managed::owner).orElse(null);
    }

    /** The id, of a device that is known to be ours. */
    public String requiredId() {
        return managed.orElseThrow().id();
    }

    private static String foreignEtag(LoopDevice device) {
        int details = Objects.hash(
                device.sizeBytes(),
                device.sectorSize(),
                device.offsetBytes(),
                device.sizeLimitBytes(),
                device.readOnly(),
                device.directIo(),
                device.autoclear(),
                device.partScan(),
                device.backingFile(),
                device.backingFileDeleted(),
                device.partitions());
        return "\"" + device.name() + "." + device.diskSeq() + "." + Integer.toHexString(details) + "\"";
    }
}
