package dev.looplease;

import dev.looplease.loop.Limits;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.NodePolicy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.util.unit.DataSize;

/**
 * The agent's settings, {@code looplease.*}.
 *
 * @param stateDir what the agent keeps for itself
 * @param imagesDir where images without a path are made; {@code images} below {@code stateDir} by default
 * @param imageRoots further directories in which clients may name images
 * @param backend how to speak to the kernel: {@code auto}, {@code ioctl} or {@code losetup}
 * @param preparedNodes free loop devices that the agent makes at its start and keeps; with ioctls only
 * @param pruneNodesAfter how long a loop device that the agent added must have been free before it is removed
 * @param maxDevices devices at once
 * @param maxImageSize the largest image; none by default
 * @param maxTotalSize all images together, sparse ones in full; none by default
 * @param maxRequestSize the largest body of a request
 * @param onShutdown what a normal stop does with what is lent
 */
@ConfigurationProperties("looplease")
public record LoopleaseProperties(
        @DefaultValue("/var/lib/looplease") Path stateDir,
        @Nullable Path imagesDir,
        @DefaultValue List<Path> imageRoots,
        @DefaultValue("auto") Backend backend,
        @DefaultValue("8") int preparedNodes,
        @DefaultValue("10m") Duration pruneNodesAfter,
        @DefaultValue("10000") int maxDevices,
        @Nullable DataSize maxImageSize,
        @Nullable DataSize maxTotalSize,
        @DefaultValue("1MB") DataSize maxRequestSize,
        @DefaultValue("keep") OnShutdown onShutdown,
        @DefaultValue Lease lease) {

    /** What a normal stop does. */
    public enum OnShutdown {
        /** Leases go on; the next agent takes over. */
        KEEP,
        /** Everything is given back. */
        RELEASE
    }

    /**
     * {@code looplease.lease.*}
     *
     * @param defaultTtl where a client names none; an hour by default, or what minTtl and maxTtl leave of it
     * @param minTtl the shortest
     * @param maxTtl the longest
     * @param allowPermanent whether a client may ask for a lease without an end
     * @param grace how long nothing is reaped after a stall or a start
     */
    public record Lease(
            @Nullable Duration defaultTtl,
            @DefaultValue("1s") Duration minTtl,
            @DefaultValue("24h") Duration maxTtl,
            @DefaultValue("false") boolean allowPermanent,
            @DefaultValue("10s") Duration grace) {

        private static final Duration USUAL_TTL = Duration.ofHours(1);

        Duration ttlWhereNoneIsNamed() {
            return defaultTtl != null ? defaultTtl : least(most(USUAL_TTL, minTtl), maxTtl);
        }

        private static Duration least(Duration one, Duration other) {
            return one.compareTo(other) <= 0 ? one : other;
        }

        private static Duration most(Duration one, Duration other) {
            return one.compareTo(other) >= 0 ? one : other;
        }
    }

    Path imagesDirectory() {
        return imagesDir == null ? stateDir.resolve("images") : imagesDir;
    }

    NodePolicy nodePolicy() {
        try {
            return new NodePolicy(preparedNodes, pruneNodesAfter);
        } catch (IllegalArgumentException e) {
            throw unusable("looplease.prepared-nodes, looplease.prune-nodes-after: ", e);
        }
    }

    Limits limits() {
        try {
            return new Limits(
                    maxDevices,
                    bytes(maxImageSize),
                    bytes(maxTotalSize),
                    lease.ttlWhereNoneIsNamed(),
                    lease.minTtl(),
                    lease.maxTtl(),
                    lease.allowPermanent(),
                    lease.grace());
        } catch (IllegalArgumentException e) {
            throw unusable("looplease.", e);
        }
    }

    private static SettingException unusable(String setting, IllegalArgumentException why) {
        return new SettingException(
                setting + why.getMessage() + ".", "Change it, or leave it out: there is a default.", why);
    }

    /**
     * Looks at what can be wrong with the settings alone, and whether the image roots are there.
     *
     * @throws SettingException when the agent cannot work with them
     */
    void check() {
        limits();
        nodePolicy();
        for (Path root : imageRoots) {
            if (!Files.isDirectory(root)) {
                throw new SettingException(
                        "looplease.image-roots names " + root + ", which is no directory.",
                        "Make that directory, or take it out of looplease.image-roots.");
            }
        }
    }

    private static OptionalLong bytes(@Nullable DataSize size) {
        return size == null ? OptionalLong.empty() : OptionalLong.of(size.toBytes());
    }
}
