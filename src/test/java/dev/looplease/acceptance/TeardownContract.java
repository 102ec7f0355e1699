package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * However a device is used: DELETE refuses and changes nothing, DELETE with force and the end of its lease take it away
 * from its users, and DETACH waits for them. In the end there is no image, no mount, no device.
 */
abstract class TeardownContract extends HttpTest {

    /** How a device can be in use. Each begins one use, and returns what ends it as its user would. */
    enum Use {
        /** Mounted nowhere but in a mount namespace that a process has for its own. The first, or it would hold copies of all others. */
        MOUNT_IN_ANOTHER_NAMESPACE {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Process dweller = test.start(test.home, "unshare", "--mount", "sh", "-c", "echo ready; exec sleep 600");
                assertThat(dweller.inputReader().readLine()).isEqualTo("ready");
                unmount(point);
                return () -> end(dweller);
            }
        },
        MOUNT {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                return () -> unmount(point);
            }
        },
        /** Another of our devices inside, a tmpfs in that, and the whole seen at a second place. */
        NESTED_MOUNTS {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Answer inner = test.created("sizeMb", 8);
                Kernel.output("mkfs.ext4", "-q", "-F", inner.node());
                Path inside = test.mount(point.resolve("inside"), inner.node());
                Path deepest = test.mount(inside.resolve("deepest"), "-t", "tmpfs", "tmpfs");
                Path elsewhere = test.mount(test.userFiles.resolve("elsewhere"), "--rbind", point.toString());
                return () -> {
                    Kernel.output("umount", "--recursive", elsewhere.toString());
                    unmount(deepest);
                    unmount(inside);
                    unmount(point);
                };
            }
        },
        SWAP {
            @Override
            Undo begin(TeardownContract test, Answer device) {
                Kernel.output("mkswap", device.node());
                return test.swapOn(device.node());
            }
        },
        SWAP_FILE {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Path file = point.resolve("swap");
                Files.write(file, new byte[MIB]);
                Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
                Kernel.output("mkswap", file.toString());
                Undo swapOff = test.swapOn(file.toString());
                return () -> {
                    swapOff.run();
                    unmount(point);
                };
            }
        },
        LOOP_ON_THE_NODE {
            @Override
            Undo begin(TeardownContract test, Answer device) {
                String above = test.foreign(Path.of(device.node()));
                return () -> detachForeign(above, Path.of(device.node()));
            }
        },
        /** Two floors: a loop device on a file of the device's filesystem, and it is mounted too. */
        MOUNTED_LOOP_ON_A_FILE {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Path file = point.resolve("disk");
                try (RandomAccessFile disk = new RandomAccessFile(file.toFile(), "rw")) {
                    disk.setLength(4 * MIB);
                }
                String above = test.foreign(file);
                Kernel.output("mkfs.ext4", "-q", "-F", "/dev/" + above);
                Path upper = test.mount(test.userFiles.resolve("upper"), "/dev/" + above);
                return () -> {
                    unmount(upper);
                    detachForeign(above, file);
                    unmount(point);
                };
            }
        },
        MOUNTED_PARTITION {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                test.partition(device);
                Kernel.output("mkfs.ext4", "-q", "-F", device.node() + "p1");
                Path point = test.mount(test.userFiles.resolve("partition"), device.node() + "p1");
                return () -> unmount(point);
            }
        },
        BTRFS {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                return test.otherFilesystem("btrfs", device);
            }
        },
        XFS {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                return test.otherFilesystem("xfs", device);
            }
        },
        WORKING_DIRECTORY(true) {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Process inside = test.start(Files.createDirectory(point.resolve("work")), "sleep", "600");
                return () -> {
                    end(inside);
                    unmount(point);
                };
            }
        },
        OPEN_FILE(true) {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Path point = test.mounted(device);
                Process opener = test.opener(Files.createFile(point.resolve("file")));
                return () -> {
                    end(opener);
                    unmount(point);
                };
            }
        },
        OPEN_NODE(true) {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                Process opener = test.opener(Path.of(device.node()));
                return () -> end(opener);
            }
        },
        OPEN_PARTITION(true) {
            @Override
            Undo begin(TeardownContract test, Answer device) throws IOException {
                test.partition(device);
                Process opener = test.opener(Path.of(device.node() + "p1"));
                return () -> end(opener);
            }
        };

        /** Whether a process has it open, which nobody but itself can end. */
        final boolean byProcess;

        Use() {
            this(false);
        }

        Use(boolean byProcess) {
            this.byProcess = byProcess;
        }

        abstract Undo begin(TeardownContract test, Answer device) throws IOException;
    }

    @ParameterizedTest
    @EnumSource
    void isKeptFromADeleteAndTakenByForce(Use use) throws IOException {
        Answer device = createdFor(use, "UNMOUNT");
        Undo end = use.begin(this, device);
        assertRefusesToDelete(device);

        Answer forced = agent.delete(device.id() + "?force=true");

        if (use.byProcess) {
            assertWaits(device, forced);
            end.run();
        } else {
            forced.expect(204);
        }
        assertGone(device, "DELETED");
    }

    private void assertRefusesToDelete(Answer device) {
        Answer before = agent.device(device.id()).expect(200);
        List<String> mounts = mountsBelowHome();

        Answer refused = agent.delete(device.id()).refused(409, "device-busy");

        assertThat(refused.list("users")).isNotEmpty();
        assertThat(agent.users(device.id()).expect(200).list("items")).isEqualTo(refused.list("users"));
        Answer after = agent.device(device.id()).expect(200);
        assertThat(after.etag()).isEqualTo(before.etag());
        assertThat(after.text("state")).isEqualTo("READY");
        assertThat(after.field("partitions")).isEqualTo(before.field("partitions"));
        assertThat(Kernel.device(images, device.name()).path("autoclear").asBoolean())
                .isFalse();
        assertThat(mountsBelowHome()).isEqualTo(mounts);
    }

    /** One lease for all: whoever holds one of its devices delays none of the others. */
    @Test
    void isTakenFromItsUsersWhenItsLeaseRunsOut() throws IOException {
        Map<Use, Held> held = heldByOneLease("UNMOUNT");

        for (Held each : held.values()) {
            if (!each.use().byProcess) {
                assertGone(each.device(), "EXPIRED");
            }
        }
        soon().until(() -> mountsBelowHome().isEmpty());
        for (Held each : held.values()) {
            if (each.use().byProcess) {
                assertWaits(each.device(), agent.delete(each.device().id()));
            }
        }
        for (Held each : held.values()) {
            if (each.use().byProcess) {
                each.end().run();
                assertGone(each.device(), "EXPIRED");
            }
        }
    }

    /** The fault guarded, among others: a partition in use when its device expired outlived it on that number. */
    @Test
    void waitsForItsUsersUnderDetach() throws IOException {
        Map<Use, Held> held = heldByOneLease("DETACH");
        List<String> mounts = mountsBelowHome();

        for (Held each : held.values()) {
            String id = each.device().id();
            soon().until(() -> agent.device(id).text("state").equals("RELEASING"));
            assertWaits(each.device(), agent.delete(id));
        }
        assertThat(mountsBelowHome()).isEqualTo(mounts);
        for (Held each : held.values()) {
            each.end().run();
            assertGone(each.device(), "EXPIRED");
        }
    }

    /** The fault guarded: the force came to effect when the next look was due, up to half a minute later. */
    @ParameterizedTest
    @EnumSource(names = {"MOUNT_IN_ANOTHER_NAMESPACE", "MOUNTED_PARTITION"})
    void isTakenByForceAtOnceWhereItWaited(Use use) throws IOException {
        Answer device = createdFor(use, "DETACH");
        use.begin(this, device);
        agent.endLease(device.leaseId()).expect(202);
        agent.delete(device.id()).expect(202);

        agent.delete(device.id() + "?force=true").expect(204);

        assertGone(device, "DELETED");
    }

    /** A device in use, and what ends that. */
    private record Held(Use use, Answer device, Undo end) {}

    /** A device for each kind of use, on a lease that runs out in a second. */
    private Map<Use, Held> heldByOneLease(String onExpiry) throws IOException {
        Answer lease = agent.send("POST", "/leases", Agent.json("ttlSeconds", 600, "onExpiry", onExpiry))
                .expect(201);
        Map<Use, Held> held = new EnumMap<>(Use.class);
        for (Use use : Use.values()) {
            if (isPossible(use)) {
                Answer device = created(
                        "sizeMb",
                        sizeMb(use),
                        "allocation",
                        use == Use.SWAP ? "FULL" : "SPARSE",
                        "leaseId",
                        lease.text("id"));
                held.put(use, new Held(use, device, use.begin(this, device)));
            }
        }
        agent.renew(lease.text("id"), "ttlSeconds", 1).expect(200);
        return held;
    }

    private static boolean isPossible(Use use) {
        return switch (use) {
            case BTRFS -> isInstalled("mkfs.btrfs");
            case XFS -> isInstalled("mkfs.xfs");
            default -> true;
        };
    }

    private static boolean isInstalled(String program) {
        return Stream.of(System.getenv("PATH").split(":", -1))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, program)));
    }

    private static int sizeMb(Use use) {
        return use == Use.BTRFS || use == Use.XFS ? 320 : 16;
    }

    private Answer createdFor(Use use, String onExpiry) {
        assumeTrue(isPossible(use), "needs mkfs of " + use);
        String allocation = use == Use.SWAP ? "FULL" : "SPARSE";
        return created("sizeMb", sizeMb(use), "allocation", allocation, "onExpiry", onExpiry);
    }

    private void assertWaits(Answer device, Answer answer) {
        answer.expect(202);
        assertThat(answer.text("state")).isEqualTo("RELEASING");
        assertThat(agent.delete(device.id()).expect(202).text("state")).isEqualTo("RELEASING");
        assertThat(agent.users(device.id()).expect(200).list("items")).isNotEmpty();
        assertThat(device.image()).exists();
    }

    private void assertGone(Answer device, String reason) {
        assertThat(gone(device.id()).text("endReason")).isEqualTo(reason);
        agent.delete(device.id()).expect(204);
        assertThat(device.image()).doesNotExist();
        assertThat(Kernel.bindingsBelow(home)).noneMatch(binding -> binding.contains(device.id()));
        assertThat(mountsBelowHome())
                .noneMatch(mount -> mount.contains(device.node() + " ") || mount.contains(device.node() + "p1 "));
        // Unless the number is somebody else's by now, with partitions of theirs.
        assertThat(Kernel.isAttached(device.name())
                        || Files.notExists(Path.of("/sys/block", device.name(), device.name() + "p1")))
                .as("no partition of %s outlives it", device.name())
                .isTrue();
    }

    /** In every mount namespace of the host: point and source. */
    private List<String> mountsBelowHome() {
        try (Stream<Path> processes = Files.list(Path.of("/proc"))) {
            return processes
                    .filter(process ->
                            Character.isDigit(process.getFileName().toString().charAt(0)))
                    .flatMap(process -> mounts(process.resolve("mountinfo")))
                    .distinct()
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Stream<String> mounts(Path mountinfo) {
        try {
            return Files.readAllLines(mountinfo).stream()
                    .filter(line -> line.contains(" " + home + "/"))
                    .map(line -> line.split(" ", -1)[4] + line.substring(line.indexOf(" - ")));
        } catch (IOException gone) {
            return Stream.empty();
        }
    }

    private Path mount(Path directory, String... what) throws IOException {
        Files.createDirectories(directory);
        Kernel.output(Stream.of(Stream.of("mount"), Stream.of(what), Stream.of(directory.toString()))
                .flatMap(words -> words)
                .toArray(String[]::new));
        afterwards(() -> {
            if (Kernel.isMounted(directory)) {
                Kernel.output("umount", "--recursive", directory.toString());
            }
        });
        return directory;
    }

    /** A table with one partition, as {@code partx} shows it to a kernel that reads no tables itself. */
    private void partition(Answer device) {
        Kernel.output("sh", "-c", "echo 'start=2048, size=16384' | sfdisk --quiet --label gpt " + device.node());
        if (Files.notExists(Path.of(device.node() + "p1"))) {
            Kernel.output("partx", "--add", device.node());
        }
        assertThat(agent.device(device.id()).list("partitions")).hasSize(1);
    }

    private Undo otherFilesystem(String type, Answer device) throws IOException {
        Kernel.output("mkfs." + type, "-q", "-f", device.node());
        Path point = mount(userFiles.resolve(type), device.node());
        return () -> unmount(point);
    }

    private Undo swapOn(String area) {
        Kernel.output("swapon", area);
        Undo off = () -> {
            if (Kernel.output("swapon", "--show=NAME", "--noheadings").lines().anyMatch(area::equals)) {
                Kernel.output("swapoff", area);
            }
        };
        afterwards(off);
        return off;
    }

    private Process opener(Path file) throws IOException {
        Process opener = start(home, "sh", "-c", "exec <" + file + "; echo ready; exec sleep 600");
        assertThat(opener.inputReader().readLine()).isEqualTo("ready");
        return opener;
    }

    private Process start(Path workingDirectory, String... command) throws IOException {
        Process process =
                new ProcessBuilder(command).directory(workingDirectory.toFile()).start();
        afterwards(() -> end(process));
        return process;
    }

    private static void end(Process process) {
        process.destroyForcibly();
        process.onExit().join();
    }
}
