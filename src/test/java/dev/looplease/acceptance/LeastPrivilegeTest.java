package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The agent as its systemd unit runs it: with the capabilities that are named there and no others, and in a mount namespace
 * of its own, which does not see what is mounted on the host.
 */
@KernelTest
class LeastPrivilegeTest extends AgentProcessTest {

    private static final Path UNIT = Path.of("packaging/systemd/looplease.service");
    private static final String CAPABILITIES = "CapabilityBoundingSet=";

    /** Nobody's on this host, and not root. */
    private static final String OTHER_USER = "54321";

    private final List<Process> holders = new ArrayList<>();
    private final List<Path> mounts = new ArrayList<>();

    @AfterEach
    void endUses() {
        holders.forEach(Process::destroyForcibly);
        mounts.forEach(HttpTest::unmount);
    }

    static List<String> capabilities() throws IOException {
        return Files.readAllLines(UNIT).stream()
                .filter(line -> line.startsWith(CAPABILITIES))
                .flatMap(line -> List.of(line.substring(CAPABILITIES.length()).split(" ", -1)).stream())
                .toList();
    }

    private Agent startWith(List<String> capabilities, String... arguments) throws IOException {
        String bounding = capabilities.stream()
                .map(name -> ",+" + name.toLowerCase(Locale.ROOT).replaceFirst("^cap_", ""))
                .collect(Collectors.joining("", "-all", ""));
        List<String> through = List.of(
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "setpriv",
                "--bounding-set=" + bounding,
                "--no-new-privs");
        return tracked(AgentProcess.start(home, through, Map.of(), arguments)).serving();
    }

    @Test
    void worksWithThem() throws IOException {
        Agent agent = startWith(capabilities());

        assertThat(complaints(agent)).isEmpty();

        Answer swap = agent.create("sizeMb", 8, "allocation", "FULL").expect(201);
        Kernel.output("mkswap", swap.node());
        Kernel.output("swapon", swap.node());
        agent.detach(swap.id()).refused(409, "device-busy");
        agent.delete(swap.id() + "?force=true").expect(204);

        Answer changed = agent.create("sizeMb", 4, "sectorSize", 4096).expect(201);
        agent.patch(changed.id(), "sizeBytes", 8 * MIB).expect(200);
        agent.detach(changed.id()).expect(200);
        agent.attach(changed.id()).expect(200);
        agent.delete(changed.id()).expect(204);

        Answer expiring = agent.create("sizeMb", 16, "ttlSeconds", 2).expect(201);
        Path point = mounted(expiring);
        soon().until(() -> agent.device(expiring.id()).status() == 410);
        assertThat(Kernel.isMounted(point)).isFalse();
        assertThat(nothingIsLeft()).isTrue();
    }

    /** The fault: a root of another user's, whom the agent may read but not write to, was a 500 of the agent's. */
    @Test
    void saysWhichPlacesItMayNotUse() throws IOException {
        Path root = Files.createDirectory(home.resolve("root"));
        Path file = Files.createFile(root.resolve("file.img"));
        Kernel.output("truncate", "--size=1M", file.toString());
        Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwx------"));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        Kernel.output("chown", "-R", OTHER_USER, root.toString());
        Agent agent = startWith(capabilities(), "--looplease.image-roots=" + root);

        for (Answer refused : List.of(
                agent.create("sizeMb", 1, "imagePath", root.toString()),
                agent.create("sizeMb", 1, "imagePath", root + "/new.img"),
                agent.create("imagePath", file.toString(), "reuseFile", true))) {
            refused.refusedField("imagePath");
            assertThat(refused.texts("errors", "message"))
                    .singleElement()
                    .asString()
                    .contains("EACCES", "DAC_OVERRIDE");
        }
        assertThat(Kernel.bindingsBelow(home)).isEmpty();
        Answer readOnly = agent.create("imagePath", file.toString(), "reuseFile", true, "readOnly", true)
                .expect(201);
        agent.delete(readOnly.id()).expect(204);
    }

    /** The kernel names it after what is left of the dead agent's mounts: /images/….img. */
    @ParameterizedTest
    @ValueSource(strings = {"ioctl", "losetup"})
    void knowsWhereAnImageIsThatAnAgentInAnotherNamespaceAttached(String backend) throws IOException {
        Path state = Files.createDirectory(
                home.resolve("state"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        List<String> inItsOwn = List.of(
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                "mount --bind $0 $0; exec \"$@\"",
                state.toString());
        String argument = "--looplease.backend=" + backend;
        AgentProcess first = tracked(AgentProcess.start(home, inItsOwn, Map.of(), argument));
        Answer made = first.serving().create("sizeMb", 1).expect(201);
        String file = made.image().getFileName().toString();
        try {
            first.kill();

            Agent agent = tracked(AgentProcess.start(home, inItsOwn, Map.of(), argument))
                    .serving();

            Answer adopted = agent.device(made.id()).expect(200);
            assertThat(adopted.image()).isEqualTo(made.image()).exists();
            assertThat(adopted.flag("backingFileDeleted")).isFalse();
            agent.delete(made.id()).expect(204);
            assertThat(made.image()).doesNotExist();
            assertThat(nodesOn(file)).isEmpty();
        } finally {
            nodesOn(file).forEach(node -> Kernel.output("losetup", "--detach", node));
        }
    }

    /** By the file's own name, which is nobody else's: the directories before it may be missing. */
    private static List<String> nodesOn(String file) {
        return Kernel.output("losetup", "--list", "--noheadings", "--raw", "--output=NAME,BACK-FILE")
                .lines()
                .filter(line -> line.contains("/" + file))
                .map(line -> line.split(" ", 2)[0])
                .toList();
    }

    /** Or it would be one too many. */
    @ParameterizedTest
    @MethodSource("capabilities")
    void needsEach(String capability) throws IOException {
        List<String> others = new ArrayList<>(capabilities());
        others.remove(capability);

        assertThat(complaints(startWith(others))).isNotEmpty();
    }

    /** What does not work: a device, in use where only another user may look, by a process of that user, is taken away. */
    private List<String> complaints(Agent agent) throws IOException {
        Answer device = agent.create("sizeMb", 16);
        if (device.status() != 201) {
            return List.of(device.body());
        }
        List<String> complaints = new ArrayList<>();
        Path point = mounted(device);
        Path file = Files.createFile(point.resolve("held"));
        Process holder = new ProcessBuilder(
                        "setpriv",
                        "--reuid=" + OTHER_USER,
                        "--regid=" + OTHER_USER,
                        "--clear-groups",
                        "sh",
                        "-c",
                        "echo ready; exec sleep 600")
                .redirectInput(file.toFile())
                .start();
        holders.add(holder);
        assertThat(holder.inputReader().readLine()).isEqualTo("ready");
        String users = agent.users(device.id()).body();
        if (!users.contains("\"pid\":" + holder.pid())) {
            complaints.add("the holder is missing in " + users);
        }
        holder.destroyForcibly().onExit().join();
        Answer deleted = agent.delete(device.id() + "?force=true");
        if (deleted.status() != 204 || Kernel.isMounted(point)) {
            complaints.add("not deleted: " + deleted.body());
        }
        return complaints;
    }

    /** Mounts an ext4 on the device in the host's namespace, in a directory that only another user may enter. */
    private Path mounted(Answer device) throws IOException {
        Kernel.output("mkfs.ext4", "-q", "-F", device.node());
        Path closed = Files.createTempDirectory(home, "closed");
        Path point = Files.createDirectory(closed.resolve("mount"));
        Kernel.output("mount", device.node(), point.toString());
        mounts.add(point);
        Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("rwx------"));
        Kernel.output("chown", OTHER_USER, closed.toString());
        return point;
    }
}
