package dev.looplease;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;

/**
 * A loop device of somebody else's, with a mounted ext4 and a file on it, that stands beside a test all the time.
 * Nothing the agent does may change anything of it.
 */
public final class ForeignDevice implements AutoCloseable {

    private static final long BYTES = 8 << 20;
    private static final int ATTEMPTS = 50;

    private final Path image;
    private final Path mountPoint;
    private final String node;

    private ForeignDevice(Path image, Path mountPoint, String node) {
        this.image = image;
        this.mountPoint = mountPoint;
        this.node = node;
    }

    /** Makes one of files in that directory. */
    public static ForeignDevice in(Path directory) throws IOException {
        Path image = directory.resolve("foreign.img");
        Path mountPoint = Files.createDirectory(directory.resolve("foreign"));
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(BYTES);
        }
        String node = attached(image);
        ForeignDevice device = new ForeignDevice(image, mountPoint, node);
        try {
            run("mkfs.ext4", "-q", "-F", node);
            run("mount", node, mountPoint.toString());
            Files.writeString(mountPoint.resolve("note"), "not yours");
            run("sync", "-f", mountPoint.toString());
            return device;
        } catch (IOException | RuntimeException e) {
            try (device) {
                throw e;
            }
        }
    }

    /** Others take devices too: a lost race is tried again. */
    private static String attached(Path image) throws IOException {
        for (int attempt = 1; ; attempt++) {
            try {
                return run("losetup", "--find", "--show", image.toString());
            } catch (IOException lost) {
                if (attempt == ATTEMPTS) {
                    throw lost;
                }
            }
        }
    }

    /** Such as {@code /dev/loop7}. */
    public String node() {
        return node;
    }

    /** All that can be seen of it, from outside the agent. */
    public String look() throws IOException {
        String name = String.valueOf(Path.of(node).getFileName());
        String mounts = Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
                .filter(line -> line.contains(" " + mountPoint + " "))
                .collect(Collectors.joining("\n"));
        return String.join(
                "\n",
                run("losetup", "--list", "--noheadings", "--output-all", node),
                Files.readString(Path.of("/sys/block", name, "diskseq")).strip(),
                mounts,
                Files.readString(mountPoint.resolve("note")),
                Files.size(image) + " " + Files.getAttribute(image, "unix:ino"));
    }

    @Override
    public void close() throws IOException {
        if (Files.exists(mountPoint.resolve("note"))) {
            run("umount", mountPoint.toString());
        }
        run("losetup", "--detach", node);
        Files.delete(mountPoint);
        Files.delete(image);
    }

    private static String run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
        try {
            if (process.waitFor() != 0) {
                throw new IOException(String.join(" ", command) + ": " + output);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException(e);
        }
        return output;
    }
}
