package dev.looplease.usage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.posix.DeviceNumber;
import dev.looplease.posix.Posix;
import dev.looplease.usage.DeviceUser.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What this machine's kernel may not have, btrfs and device-mapper and md, on trees as other kernels show them. */
class RecordedTreeTest {

    private static final BlockTarget LOOP7 = new BlockTarget("loop7", new DeviceNumber(7, 7), List.of());
    private static final DeviceNumber DEVTMPFS = new DeviceNumber(0, 6);
    private static final DeviceNumber NO_NODE = new DeviceNumber(0, 0);

    @TempDir
    private Path root;

    private final List<List<String>> commands = new ArrayList<>();
    private DeviceUsers users;

    @BeforeEach
    void recordAnIdleHost() throws IOException {
        process(100, "agent", "mnt:[1]", "/", "20 1 8:1 / / rw - ext4 /dev/sda1 rw");
        Files.createSymbolicLink(root.resolve("proc/self"), Path.of("100"));
        write("proc/swaps", "Filename Type Size Used Priority\n");
        write("sys/block/loop7/dev", "7:7\n");
        Files.createDirectories(root.resolve("dev"));
        users = new DeviceUsers(
                new HostTree(root.resolve("proc"), root.resolve("sys"), root.resolve("dev")), this::play);
    }

    /** JUnit warns of links that lead out of a temporary directory. */
    @AfterEach
    void removeLinks() throws IOException {
        try (Stream<Path> paths = Files.walk(root)) {
            for (Path link : paths.filter(Files::isSymbolicLink).toList()) {
                Files.delete(link);
            }
        }
    }

    private void process(long pid, String comm, String namespace, String rootLink, String... mountinfo)
            throws IOException {
        String directory = "proc/" + pid;
        write(directory + "/comm", comm + "\n");
        write(directory + "/mountinfo", String.join("\n", mountinfo) + "\n");
        Files.createDirectories(root.resolve(directory + "/ns"));
        Files.createDirectories(root.resolve(directory + "/fd"));
        Files.createSymbolicLink(root.resolve(directory + "/ns/mnt"), Path.of(namespace));
        Files.createSymbolicLink(root.resolve(directory + "/root"), Path.of(rootLink));
    }

    private void write(String file, String text) throws IOException {
        Path path = root.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
    }

    /** A kernel where removing a holder removes it, and one that has a holder of its own refuses. */
    private void play(List<String> arguments) throws IOException {
        commands.add(arguments);
        String holder = arguments.getLast().equals("vg-data") ? "dm-0" : "md127";
        if (Files.exists(root.resolve("sys/block/" + holder + "/holders/dm-0"))) {
            throw new IOException("Device or resource busy");
        }
        for (String below : List.of("loop7", "loop7/loop7p1", "md127")) {
            Files.deleteIfExists(root.resolve("sys/block/" + below + "/holders/" + holder));
        }
    }

    private List<DeviceUser> find() throws IOException {
        return users.find(LOOP7, List.of());
    }

    @Test
    void reportsNothingOnAnIdleHost() throws IOException {
        assertThat(find()).isEmpty();
    }

    /** A btrfs mount shows 0:45 and not 7:7: matching numbers alone would say "unused". */
    @Test
    void findsABtrfsByItsSource() throws IOException {
        write("sys/fs/btrfs/uuid/devices/loop7/dev", "7:7\n");
        write("proc/100/mountinfo", """
                20 1 8:1 / / rw - ext4 /dev/sda1 rw
                30 20 0:45 /@home /mnt/data\\040set rw shared:9 - btrfs /dev/loop7 rw,subvol=/@home
                31 20 0:46 / /mnt/other rw - btrfs /dev/loop77 rw
                """);

        assertThat(find()).containsExactly(new DeviceUser(Kind.MOUNT, "/mnt/data set", null, null));
    }

    /** The source is whatever somebody wrote: only the kernel tells that a btrfs lies on this device. */
    @Test
    void isNotMisledByASourceThatIsCalledLikeIt() throws IOException {
        write("sys/fs/btrfs/uuid/devices/loop8/dev", "7:8\n");
        write("proc/100/mountinfo", """
                20 1 8:1 / / rw - ext4 /dev/sda1 rw
                30 20 0:45 / /mnt/a rw - tmpfs /dev/loop7 rw
                31 20 0:46 / /mnt/b rw - fuse.sshfs /dev/loop7 rw
                32 20 0:47 / /mnt/c rw - btrfs /dev/loop7 rw
                """);

        assertThat(find()).isEmpty();
    }

    /** The source of a btrfs on several devices is any one of them. */
    @Test
    void findsABtrfsThatNamesAnotherOfItsDevices() throws IOException {
        write("sys/fs/btrfs/uuid/devices/loop7/dev", "7:7\n");
        write("sys/fs/btrfs/uuid/devices/loop8/dev", "7:8\n");
        Posix.makeBlockNode(root.resolve("dev/loop8"), new DeviceNumber(7, 8));
        write("proc/100/mountinfo", "30 20 0:45 / /mnt/raid rw - btrfs /dev/loop8 rw\n");

        assertThat(find()).containsExactly(new DeviceUser(Kind.MOUNT, "/mnt/raid", null, null));
    }

    @Test
    void findsMountsOfPartitionsThatTheCallerDoesNotKnow() throws IOException {
        write("sys/block/loop7/loop7p1/partition", "1\n");
        write("sys/block/loop7/loop7p1/dev", "259:0\n");
        write("proc/100/mountinfo", "30 20 259:0 / /mnt/p1 rw - ext4 /dev/loop7p1 rw\n");

        assertThat(find()).containsExactly(new DeviceUser(Kind.MOUNT, "/mnt/p1", null, null));
    }

    /** A chrooted process does not see what is mounted outside: asking the first process at hand would miss it. */
    @Test
    void asksAProcessThatSeesItsWholeNamespace() throws IOException {
        process(200, "jailed", "mnt:[2]", "/jail", "50 1 8:1 /jail / rw - ext4 /dev/sda1 rw");
        process(
                201,
                "sleep",
                "mnt:[2]",
                "/",
                "40 1 8:1 / / rw - ext4 /dev/sda1 rw",
                "41 40 7:7 / /mnt rw - ext4 /dev/loop7 rw");

        assertThat(find()).containsExactly(new DeviceUser(Kind.MOUNT, "/mnt", 201L, "sleep"));
    }

    @Test
    void survivesProcessesThatAreGoneHalfWay() throws IOException {
        Files.createDirectories(root.resolve("proc/300"));
        process(301, "gone", "mnt:[3]", "/");
        Files.delete(root.resolve("proc/301/mountinfo"));

        assertThat(find()).isEmpty();
    }

    @Test
    void findsSwapOnANodeThatIsGone() throws IOException {
        write("proc/swaps", "Filename Type Size Used Priority\n/dev/loop7 partition 1020 0 -2\n");

        assertThat(find()).containsExactly(new DeviceUser(Kind.SWAP, "/dev/loop7", null, null));
    }

    @Test
    void namesHoldersAndTakesThemDownTopFirst() throws IOException {
        write("sys/block/loop7/loop7p1/partition", "1\n");
        write("sys/block/loop7/loop7p1/dev", "259:0\n");
        Files.createDirectories(root.resolve("sys/block/loop7/loop7p1/holders/md127"));
        write("sys/block/md127/dev", "9:127\n");
        Files.createDirectories(root.resolve("sys/block/md127/holders/dm-0"));
        write("sys/block/dm-0/dev", "253:0\n");
        write("sys/block/dm-0/dm/name", "vg-data\n");

        assertThat(find()).containsExactly(new DeviceUser(Kind.HOLDER, "md127", null, null));
        List<Leftover> left = users.free(LOOP7);

        assertThat(commands)
                .containsExactly(
                        List.of("dmsetup", "remove", "--retry", "--", "vg-data"),
                        List.of("mdadm", "--stop", root.resolve("dev/md127").toString()));
        assertThat(find()).isEmpty();
        assertThat(left).extracting(Leftover::what).containsExactly("partition loop7p1"); // no node to ask here
    }

    @Test
    void tellsOfAHolderThatItCannotTakeDown() throws IOException {
        Files.createDirectories(root.resolve("sys/block/loop7/holders/bcache0"));
        write("sys/block/bcache0/dev", "252:0\n");

        assertThat(users.free(LOOP7)).singleElement().satisfies(left -> {
            assertThat(left.what()).isEqualTo("holder bcache0");
            assertThat(left.why()).contains("its own tool");
        });
        assertThat(commands).isEmpty();
    }

    @Test
    void namesADeviceMapperHolderByBothNames() throws IOException {
        Files.createDirectories(root.resolve("sys/block/loop7/holders/dm-0"));
        write("sys/block/dm-0/dm/name", "vg-data\n");

        assertThat(find()).containsExactly(new DeviceUser(Kind.HOLDER, "dm-0 (vg-data)", null, null));
    }

    @Test
    void findsLoopsByTheirFilesystemAndByTheNode() throws IOException {
        StackedLoop onFilesystem = new StackedLoop(9, LOOP7.number(), NO_NODE, "/mnt/image");
        StackedLoop onNode = new StackedLoop(10, DEVTMPFS, LOOP7.number(), "/dev/anything");
        StackedLoop elsewhere = new StackedLoop(11, new DeviceNumber(8, 1), NO_NODE, "/var/loop7.img");
        StackedLoop itself = new StackedLoop(7, DEVTMPFS, LOOP7.number(), "/dev/loop7");
        StackedLoop fileOfThatName = new StackedLoop(12, new DeviceNumber(0, 99), NO_NODE, "/dev/loop7");
        StackedLoop anotherNodeOfThatName = new StackedLoop(13, DEVTMPFS, new DeviceNumber(7, 8), "/dev/loop7");

        assertThat(users.loopsOn(
                        LOOP7, List.of(onFilesystem, onNode, elsewhere, itself, fileOfThatName, anotherNodeOfThatName)))
                .containsExactly(onFilesystem, onNode);
    }

    @Test
    void refusesANameThatIsAPath() {
        assertThatThrownBy(() -> new BlockTarget("../sda", new DeviceNumber(8, 0), List.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("name");
    }
}
