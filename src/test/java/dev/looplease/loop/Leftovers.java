package dev.looplease.loop;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.losetup.Backend;
import dev.looplease.losetup.LoopDevice;
import dev.looplease.losetup.LoopHandle;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.Losetups;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Takes down what a failed test has left mounted or attached of files below its own directory. */
final class Leftovers {

    private static final int MOUNT_POINT = 4;

    private Leftovers() {}

    static void remove(Path home) throws IOException, InterruptedException {
        List<String> mounts = Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
                .map(line -> line.split(" ", -1)[MOUNT_POINT])
                .filter(point -> point.startsWith(home + "/"))
                .toList();
        for (String point : mounts.reversed()) {
            run("umount", "--lazy", point);
        }
        Losetup losetup = Losetups.select(Backend.IOCTL);
        for (LoopDevice device : losetup.list()) {
            if (device.backingFile().startsWith(home + "/")) {
                var opened = losetup.open(device.identity());
                if (opened.isPresent()) {
                    try (LoopHandle handle = opened.get()) {
                        handle.clear();
                    }
                }
            }
        }
    }

    static void run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
    }
}
