package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.looplease.KernelTest;
import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Fd;
import dev.looplease.posix.Posix;
import dev.looplease.usage.DeviceUser.Kind;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every kind of user, made with util-linux on a loop device of its own. */
@KernelTest
class DeviceUsersKernelTest {

    @TempDir
    private Path directory;

    private final DeviceUsers users = new DeviceUsers();
    /** Undoes what was made, the last first; each does nothing where the test was quicker. */
    private final Deque<Undo> undos = new ArrayDeque<>();

    private BlockTarget device = new BlockTarget("none", new DeviceNumber(0, 0), List.of());

    private interface Undo {
        void run() throws Exception;
    }

    @BeforeEach
    void attach() throws Exception {
        device = attach(image("image"));
    }

    @AfterEach
    void undo() throws Exception {
        Exception first = null;
        while (!undos.isEmpty()) {
            try {
                undos.pop().run();
            } catch (Exception e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }

    private Path image(String name) throws IOException {
        return image(name, 16 << 20);
    }

    private Path image(String name, long sizeBytes) throws IOException {
        Path image = directory.resolve(name);
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(sizeBytes);
        }
        return image;
    }

    /** Others on this machine take loop devices too: a lost race is tried again. */
    private BlockTarget attach(Path image) throws Exception {
        String node = await().atMost(Duration.ofSeconds(20))
                .until(() -> output("losetup", "--find", "--show", image.toString()), path -> path.startsWith("/dev/"));
        String name = node.substring("/dev/".length());
        undos.push(() -> {
            Path backing = Path.of("/sys/block", name, "loop/backing_file");
            Set<String> itsOwn = Set.of(image.toString(), image + " (deleted)");
            if (Files.exists(backing)
                    && itsOwn.contains(Files.readString(backing).strip())) {
                run("losetup", "--detach", node);
            }
        });
        return new BlockTarget(
                name, DeviceNumber.parse(Files.readString(Path.of("/sys/block", name, "dev"))), List.of());
    }

    private static String output(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        process.waitFor();
        return output.strip();
    }

    private static void run(String... command) throws Exception {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException(String.join(" ", command) + ": " + output);
        }
    }

    private String node() {
        return "/dev/" + device.name();
    }

    private Path mountPoint(String name) throws IOException {
        return Files.createDirectories(directory.resolve(name));
    }

    private Path mount(Path point, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of("mount"));
        command.addAll(List.of(arguments));
        command.add(point.toString());
        run(command.toArray(String[]::new));
        undos.push(() -> {
            if (isMounted(point)) {
                run("umount", "--lazy", point.toString());
            }
        });
        return point;
    }

    private static boolean isMounted(Path point) throws IOException {
        return Mount.parseAll(HostTree.read(Path.of("/proc/self/mountinfo"))).stream()
                .anyMatch(mount -> mount.point().equals(point.toString()));
    }

    private Path mountExt4(String name) throws Exception {
        run("mkfs.ext4", "-q", node());
        return mount(mountPoint(name), node());
    }

    private Process start(Path workingDirectory, String... command) throws IOException {
        Process process =
                new ProcessBuilder(command).directory(workingDirectory.toFile()).start();
        undos.push(() -> process.destroyForcibly().waitFor());
        return process;
    }

    /** Without the losetup of somebody else on the host, which opens each device for a moment when it lists them all. */
    private List<DeviceUser> find() throws IOException {
        return users.find(device, List.of()).stream()
                .filter(user -> !"losetup".equals(user.command()))
                .toList();
    }

    /** Likewise. */
    private List<Leftover> free(BlockTarget target) throws IOException {
        return users.free(target).stream()
                .filter(left -> !left.what().contains(" (losetup)"))
                .toList();
    }

    private static DeviceUser mountAt(Path point) {
        return new DeviceUser(Kind.MOUNT, point.toString(), null, null);
    }

    private void assertFree() throws IOException {
        assertThat(find()).isEmpty();
        Posix.open(Path.of(node()), Posix.O_RDONLY | Posix.O_EXCL).close();
    }

    @Test
    void anUnusedDeviceHasNoUsersAndFreeingItIsSuccess() throws Exception {
        assertThat(find()).isEmpty();
        assertThat(free(device)).isEmpty();
    }

    @Test
    void aDeviceThatIsNoLongerThereIsFree() throws Exception {
        BlockTarget gone = new BlockTarget("loop1048575x", new DeviceNumber(7, 1048575), List.of());

        assertThat(users.find(gone, List.of())).isEmpty();
        assertThat(free(gone)).isEmpty();
    }

    @Test
    void unmountsAFilesystemAndLeavesItsNeighbourAlone() throws Exception {
        Path neighbour = mount(mountPoint("a b\nc"), "-t", "tmpfs", "neighbour");
        Path point = mountExt4("a b");

        assertThat(find()).containsExactly(mountAt(point));
        assertThat(free(device)).isEmpty();

        assertFree();
        assertThat(isMounted(neighbour)).isTrue();
    }

    @Test
    void unmountsAtAPathWithALineBreakAndAMarker() throws Exception {
        Path point = mountExt4("x\n\\040y (deleted)");

        assertThat(find()).containsExactly(mountAt(point));
        assertThat(free(device)).isEmpty();
        assertFree();
    }

    @Test
    void unmountsWhatIsMountedBelowAndTheSameFilesystemElsewhere() throws Exception {
        Path point = mountExt4("point");
        Path below = mount(Files.createDirectories(point.resolve("below")), "-t", "tmpfs", "nested");
        Path deeper = mount(Files.createDirectories(below.resolve("deeper")), "-t", "tmpfs", "nested");
        Path bind = mount(mountPoint("bind"), "--bind", point.toString());

        assertThat(find()).containsExactlyInAnyOrder(mountAt(point), mountAt(bind));
        assertThat(free(device)).isEmpty();

        assertFree();
        assertThat(isMounted(deeper)).isFalse();
    }

    /** By the mount's path alone umount would hit the stranger's mount that covers ours. */
    @Test
    void leavesAStrangersMountThatHidesOursAlone() throws Exception {
        Path parent = mountPoint("parent");
        Path point = mountExt4("parent/point");
        mount(parent, "-t", "tmpfs", "cover");
        Path same = mount(Files.createDirectories(point), "-t", "tmpfs", "stranger");

        assertThat(free(device)).singleElement().satisfies(left -> {
            assertThat(left.what()).isEqualTo("mount " + point);
            assertThat(left.why()).contains("another mount lies over it");
        });

        assertThat(isMounted(same)).isTrue();
        run("umount", same.toString());
        run("umount", parent.toString());
        assertThat(free(device)).isEmpty();
        assertFree();
    }

    /** A mount that only another namespace has: nothing in ours tells of it, and its umount must happen there. */
    @Test
    void unmountsInAnotherMountNamespace() throws Exception {
        Path point = mountExt4("point");
        Process dweller = start(
                directory, "unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 600");
        assertThat(dweller.inputReader().readLine()).isEqualTo("ready");
        run("umount", point.toString());

        await().untilAsserted(() -> assertThat(find())
                .containsExactly(new DeviceUser(Kind.MOUNT, point.toString(), dweller.pid(), "sleep")));
        String before = Files.readSymbolicLink(Path.of("/proc/self/ns/mnt")).toString();

        assertThat(free(device)).isEmpty();

        assertFree();
        assertThat(dweller.isAlive()).isTrue();
        assertThat(namespacesOfOurThreads()).containsOnly(before);
    }

    private static List<String> namespacesOfOurThreads() throws IOException {
        // The thread that was inside may be on its way out.
        await().until(() -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.getName().equals("looplease-namespace")));
        List<String> namespaces = new ArrayList<>();
        for (String task : HostTree.names(Path.of("/proc/self/task"))) {
            try {
                namespaces.add(Files.readSymbolicLink(Path.of("/proc/self/task", task, "ns/mnt"))
                        .toString());
            } catch (NoSuchFileException e) {
                // That thread has ended.
            }
        }
        return namespaces;
    }

    /** Waking a virtual thread starts a carrier, and a carrier started in a stranger's namespace stays there. */
    @Test
    void unmountsForAVirtualThread() throws Exception {
        mountExt4("point");
        try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
            assertThat(CompletableFuture.supplyAsync(() -> users.free(device), threads)
                            .get())
                    .isEmpty();
        }
        assertFree();
    }

    /** After a lazy unmount the device stays bound, and is in no mountinfo: only the process tells. */
    @Test
    void unmountsLazilyUnderAProcessAndReportsItUntilItGoes() throws Exception {
        Path point = mountExt4("point");
        Process inside = start(Files.createDirectories(point.resolve("sub")), "sleep", "600");

        assertThat(find())
                .containsExactly(
                        mountAt(point),
                        new DeviceUser(Kind.PROCESS, point.resolve("sub") + " (cwd)", inside.pid(), "sleep"));
        assertThat(free(device))
                .singleElement()
                .extracting(Leftover::what)
                .isEqualTo("process " + inside.pid() + " (sleep): /sub (cwd)");

        assertThat(isMounted(point)).isFalse();
        assertThat(find()).containsExactly(new DeviceUser(Kind.PROCESS, "/sub (cwd)", inside.pid(), "sleep"));
        inside.destroyForcibly().waitFor();
        await().untilAsserted(this::assertFree);
        assertThat(free(device)).isEmpty();
    }

    @Test
    void findsAProcessThatHasTheNodeOpenButNotItself() throws Exception {
        try (Fd own = Posix.open(Path.of(node()), Posix.O_RDONLY)) {
            assertThat(own.number()).isPositive();
            assertThat(find()).isEmpty();
            Process opener = start(directory, "sh", "-c", "exec sleep 600 3<" + node());

            await().untilAsserted(() ->
                    assertThat(find()).contains(new DeviceUser(Kind.PROCESS, node(), opener.pid(), "sleep")));
            assertThat(free(device))
                    .extracting(Leftover::what)
                    .contains("process " + opener.pid() + " (sleep): " + node());
        }
    }

    /** The kernel knows of users that /proc does not show; silence would be taken for "unused". */
    @Test
    void reportsAMountThatOnlyTheKernelKnows() throws Exception {
        // Stands for such a mount: our own handle is not shown, and holds the device as a mount does.
        try (Fd exclusive = Posix.open(Path.of(node()), Posix.O_RDONLY | Posix.O_EXCL)) {
            assertThat(exclusive.number()).isPositive();
            assertThat(find()).containsExactly(new DeviceUser(Kind.MOUNT, null, null, null));
        }
    }

    @Test
    void stopsSwap() throws Exception {
        run("mkswap", "--quiet", node());
        swapOn(Path.of(node()));

        assertThat(find()).containsExactly(new DeviceUser(Kind.SWAP, node(), null, null));
        assertThat(free(device)).isEmpty();
        assertFree();
    }

    /** A swap file keeps its filesystem busy; after a lazy unmount its path would be gone, and swapoff impossible. */
    @Test
    void stopsASwapFileBeforeItUnmounts() throws Exception {
        Path point = mountExt4("point");
        Path file = point.resolve("swap file");
        Files.write(file, new byte[1 << 20]);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        run("mkswap", "--quiet", file.toString());
        swapOn(file);

        assertThat(find()).containsExactly(mountAt(point), new DeviceUser(Kind.SWAP, file.toString(), null, null));
        assertThat(free(device)).isEmpty();
        assertFree();
    }

    /** The fault guarded: its path led nowhere here, and after the lazy unmount nowhere at all; the device was never free. */
    @Test
    void stopsASwapFileThatOnlyAnotherMountNamespaceHas() throws Exception {
        run("mkfs.ext4", "-q", node());
        Path point = mountPoint("point");
        Path file = point.resolve("swap file");
        Process dweller = start(
                directory,
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                """
                mount "$0" "$1" && dd if=/dev/zero of="$2" bs=1M count=1 2>/dev/null && chmod 600 "$2" &&
                mkswap --quiet "$2" && swapon "$2" && echo ready; exec sleep 600""",
                node(),
                point.toString(),
                file.toString());
        assertThat(dweller.inputReader().readLine()).isEqualTo("ready");
        // For the undoing: nothing else could stop that swap if the mount went first.
        Fd area = Posix.open(Path.of("/proc/" + dweller.pid() + "/root" + file), Posix.O_PATH);
        undos.push(() -> {
            if (isSwappedTo(file)) {
                Posix.swapoff(area.procPath().getBytes(UTF_8));
            }
            area.close();
        });

        users.free(device);

        assertThat(isSwappedTo(file)).isFalse();
        area.close();
        await().untilAsserted(this::assertFree);
    }

    private static boolean isSwappedTo(Path area) throws IOException {
        return Swap.parseAll(HostTree.read(Path.of("/proc/swaps"))).stream()
                .anyMatch(swap -> swap.path().equals(area.toString()));
    }

    private void swapOn(Path area) throws Exception {
        run("swapon", area.toString());
        undos.push(() -> {
            if (isSwappedTo(area)) {
                run("swapoff", area.toString());
            }
        });
    }

    @Test
    void findsALoopDeviceOnTheNodeAndOneOnTheFilesystem() throws Exception {
        Path point = mountExt4("point");
        Path image = point.resolve("inner");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.setLength(1 << 20);
        }
        StackedLoop onFilesystem = stacked(attach(image), image);
        StackedLoop onNode = stacked(attach(Path.of(node())), Path.of(node()));
        StackedLoop elsewhere = stacked(attach(image("elsewhere")), directory.resolve("elsewhere"));

        List<StackedLoop> all = List.of(onFilesystem, onNode, elsewhere);
        assertThat(users.loopsOn(device, all)).containsExactly(onFilesystem, onNode);
        assertThat(users.find(device, all))
                .contains(
                        new DeviceUser(Kind.LOOP, "/dev/" + onFilesystem.name(), null, null),
                        new DeviceUser(Kind.LOOP, "/dev/" + onNode.name(), null, null));
    }

    /** The fault guarded: a container's path was looked up among our mounts, and led to a btrfs of ours. */
    @Test
    void findsALoopDeviceOnABtrfsOnlyWhereItsPathLeadsToItsFile() throws Exception {
        assumeTrue(isInstalled("mkfs.btrfs"), "needs mkfs.btrfs");
        BlockTarget btrfs = attach(image("btrfs", 128 << 20));
        run("mkfs.btrfs", "--quiet", "/dev/" + btrfs.name());
        Path point = mount(mountPoint("point"), "/dev/" + btrfs.name());
        Path image = point.resolve("inner");
        Files.write(image, new byte[1 << 20]);
        StackedLoop there = stacked(attach(image), image);
        StackedLoop inAContainer = new StackedLoop(
                there.number() + 1, new DeviceNumber(0, 4711), there.backingNode(), there.backingFile());

        assertThat(users.loopsOn(btrfs, List.of(there, inAContainer))).containsExactly(there);
        Files.delete(image);
        assertThat(users.loopsOn(btrfs, List.of(there, inAContainer))).containsExactly(there);
    }

    private static StackedLoop stacked(BlockTarget loop, Path file) throws IOException {
        return new StackedLoop(
                Integer.parseInt(loop.name().substring("loop".length())),
                Posix.stat(file).device(),
                Posix.stat(file).represents(),
                file.toString());
    }

    /** Partitions that BLKPG added survive a detach, and would reappear under the next image on that number. */
    @Test
    void unmountsPartitionsAndDropsThem() throws Exception {
        run("addpart", node(), "1", "2048", "16384");
        undos.push(() -> users.dropPartitions(device));
        String part = node() + "p1";
        run("mkfs.ext4", "-q", part);
        Path point = mount(mountPoint("point"), part);

        assertThat(find()).containsExactly(mountAt(point));
        assertThat(free(device)).isEmpty();

        assertThat(Path.of("/sys/block", device.name(), device.name() + "p1")).doesNotExist();
        assertFree();
        users.dropPartitions(device);
    }

    /** btrfs shows an anonymous number, and names only one of its devices as the source. */
    @Test
    void unmountsABtrfsOnTwoDevices() throws Exception {
        assumeTrue(isInstalled("mkfs.btrfs"), "needs mkfs.btrfs");
        BlockTarget first = attach(image("first", 128 << 20));
        BlockTarget second = attach(image("second", 128 << 20));
        run("mkfs.btrfs", "--quiet", "/dev/" + first.name(), "/dev/" + second.name());
        Path point = mount(mountPoint("point"), "-o", "device=/dev/" + second.name(), "/dev/" + first.name());
        Process inside = start(point, "sleep", "600");

        DeviceUser process = new DeviceUser(Kind.PROCESS, point + " (cwd)", inside.pid(), "sleep");
        assertThat(users.find(first, List.of())).containsExactly(mountAt(point), process);
        assertThat(users.find(second, List.of())).containsExactly(mountAt(point), process);

        assertThat(free(second)).extracting(Leftover::what).containsExactly("mount that /proc does not show");
        inside.destroyForcibly().waitFor();
        await().untilAsserted(() -> assertThat(free(second)).isEmpty());
        assertThat(users.find(first, List.of())).isEmpty();
    }

    private static boolean isInstalled(String program) {
        return Stream.of(System.getenv("PATH").split(":"))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }
}
