package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import dev.looplease.posix.DeviceNumber;
import java.util.List;
import org.junit.jupiter.api.Test;

class MountTest {

    private static List<Mount> parse(String... lines) {
        return Mount.parseAll(String.join("\n", lines).getBytes(UTF_8));
    }

    @Test
    void readsALineOfTheManPage() {
        assertThat(parse("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"))
                .containsExactly(new Mount(36, 35, new DeviceNumber(98, 0), "/mnt2", "ext3", "/dev/root"));
    }

    @Test
    void readsLinesWithNoneAndSeveralOptionalFields() {
        assertThat(parse(
                        "1 0 7:7 / /a rw - ext4 /dev/loop7 rw",
                        "2 1 7:7 / /b rw shared:1 master:2 propagate_from:3 - ext4 /dev/loop7 rw"))
                .extracting(Mount::point, Mount::source)
                .containsExactly(tuple("/a", "/dev/loop7"), tuple("/b", "/dev/loop7"));
    }

    /** Guards against splitting at the dash of a mount point, and against reading an escape once too often. */
    @Test
    void readsOddMountPoints() {
        assertThat(parse(
                        "1 0 7:7 / /a\\040-\\040b rw - ext4 /dev/loop7 rw",
                        "2 0 7:7 / /line\\012break\\011tab rw - ext4 /dev/loop7 rw",
                        "3 0 7:7 / /back\\134040slash rw - ext4 /dev/loop7 rw",
                        "4 0 7:7 / /x\\040(deleted) rw - ext4 /dev/loop7 rw",
                        "5 0 7:7 / - rw - ext4 /dev/loop7 rw",
                        "6 0 7:7 / /größe rw - ext4 /dev/loop7 rw"))
                .extracting(Mount::point)
                .containsExactly("/a - b", "/line\nbreak\ttab", "/back\\040slash", "/x (deleted)", "-", "/größe");
    }

    /** A mount point has no encoding: decoding it would name another one to the kernel. */
    @Test
    void keepsTheBytesOfAMountPointThatIsNotUtf8() {
        byte[] line = "1 0 7:7 / /?x rw - ext4 /dev/loop7 rw".getBytes(UTF_8);
        line[11] = (byte) 0xe9;

        assertThat(Mount.parseAll(line).getFirst().pointBytes()).containsExactly('/', 0xe9, 'x');
    }

    @Test
    void readsAnEmptySource() {
        assertThat(parse("1 0 0:50 / /a rw - tmpfs  rw").getFirst().source()).isEmpty();
    }

    @Test
    void refusesWhatIsNoMountinfo() {
        assertThatThrownBy(() -> parse("/dev/loop7 /mnt ext4 rw 0 0")).isInstanceOf(IllegalArgumentException.class);
    }

    /** A path prefix is no parenthood: /mnt/x below is another mount's child, and /mnt/xy only sounds alike. */
    @Test
    void endsChildrenFirstAndNothingThatIsNoChild() {
        List<Mount> mounts = parse(
                "10 1 8:1 / / rw - ext4 /dev/sda1 rw",
                "30 40 0:51 / /mnt/x/moved/deep rw - tmpfs tmpfs rw", // older than its parent: moved there
                "20 10 7:7 / /mnt/x rw - ext4 /dev/loop7 rw",
                "21 10 0:50 / /mnt/xy rw - tmpfs tmpfs rw",
                "22 10 0:52 / /mnt/x/hidden rw - tmpfs tmpfs rw",
                "40 20 0:53 / /mnt/x/moved rw - tmpfs tmpfs rw",
                "50 10 7:7 / /bind rw - ext4 /dev/loop7 rw");

        assertThat(Mount.deepestFirst(mounts, mount -> mount.device().major() == 7))
                .extracting(Mount::id)
                .containsExactly(30L, 40L, 50L, 20L);
    }

    @Test
    void endsDespiteMountsThatAreEachOthersParents() {
        List<Mount> mounts = parse("1 2 7:7 / /a rw - ext4 x rw", "2 1 0:9 / /b rw - tmpfs x rw");

        assertThat(Mount.deepestFirst(mounts, mount -> mount.id() == 1)).hasSize(2);
    }

    @Test
    void findsTheMountThatAPathLiesOn() {
        MountNamespace namespace = new MountNamespace(
                "mnt:[1]",
                1,
                true,
                true,
                parse(
                        "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
                        "2 1 0:40 / /net rw - nfs4 server:/ rw",
                        "3 1 8:2 / /network rw - ext4 /dev/sda2 rw"));

        assertThat(namespace.holding("/net/file")).extracting(Mount::isLocal).isEqualTo(false);
        assertThat(namespace.holding("/network/file")).extracting(Mount::id).isEqualTo(3L);
        assertThat(namespace.holding("/netting")).extracting(Mount::id).isEqualTo(1L);
    }

    @Test
    void readsSwaps() {
        String swaps = """
                Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
                /dev/loop7                              partition\t1020\t\t0\t\t-2
                /var/swap\\040file                       file\t\t1020\t\t0\t\t-3
                """;

        assertThat(Swap.parseAll(swaps.getBytes(UTF_8)))
                .containsExactly(new Swap("/dev/loop7", true), new Swap("/var/swap file", false));
    }
}
