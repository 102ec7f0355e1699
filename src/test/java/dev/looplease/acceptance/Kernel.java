package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** The independent witness: what util-linux and sysfs say of the host, and what a test does to it itself. */
final class Kernel {

    private Kernel() {}

    /** Attached devices whose backing file is below a directory, as losetup lists them. */
    static List<JsonNode> devicesBelow(Path directory) {
        String json = output(
                "losetup",
                "--list",
                "--json",
                "--output",
                "NAME,BACK-FILE,SIZELIMIT,OFFSET,RO,AUTOCLEAR,DIO,LOG-SEC,PARTSCAN");
        List<JsonNode> found = new ArrayList<>();
        if (!json.isEmpty()) {
            for (JsonNode device : Agent.parse(json).path("loopdevices")) {
                if (device.path("back-file").asString("").startsWith(directory + "/")) {
                    found.add(device);
                }
            }
        }
        return found;
    }

    /** The same seen in sysfs, quicker: number, binding and file of each. */
    static List<String> bindingsBelow(Path directory) {
        List<String> found = new ArrayList<>();
        try (DirectoryStream<Path> devices = Files.newDirectoryStream(Path.of("/sys/block"), "loop*")) {
            for (Path device : devices) {
                // Most numbers are unbound, and finding that out by an exception would take longer.
                if (Files.exists(device.resolve("loop/backing_file"))) {
                    binding(device)
                            .filter(text -> text.contains(" " + directory + "/"))
                            .ifPresent(found::add);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Collections.sort(found);
        return found;
    }

    private static Optional<String> binding(Path device) {
        try {
            return Optional.of(device.getFileName() + " "
                    + Files.readString(device.resolve("diskseq")).strip() + " "
                    + Files.readString(device.resolve("loop/backing_file")).strip());
        } catch (IOException unboundMeanwhile) {
            return Optional.empty();
        }
    }

    /** What losetup says of an attached device. */
    static JsonNode device(Path directory, String name) {
        return devicesBelow(directory).stream()
                .filter(device -> device.path("name").asString().equals("/dev/" + name))
                .findFirst()
                .orElseThrow();
    }

    /** Size of a block device in bytes; {@code /sys/block/X/size} counts units of 512 bytes. */
    static long sizeBytes(String name) {
        return Long.parseLong(sysfs(name, "size")) * 512;
    }

    static boolean isAttached(String name) {
        return Files.exists(Path.of("/sys/block", name, "loop"));
    }

    static String sysfs(String name, String attribute) {
        return read(Path.of("/sys/block", name, attribute));
    }

    static boolean isMounted(Path directory) {
        return read(Path.of("/proc/self/mountinfo")).contains(" " + directory + " ");
    }

    private static String read(Path file) {
        try {
            return Files.readString(file).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Runs a command that must succeed. */
    static String output(String... command) {
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
            if (process.waitFor() != 0) {
                throw new IllegalStateException(String.join(" ", command) + ": " + output);
            }
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
