package dev.looplease.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StateDirectoryTest {

    @TempDir
    Path parent;

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    /** Holds the directory until its standard input ends. */
    static final class Holder {
        private Holder() {}

        public static void main(String[] args) throws IOException {
            Path directory = Path.of(args[0]);
            try (StateDirectory held =
                    args.length > 1 ? StateDirectory.lockInPlace(directory) : StateDirectory.lock(directory)) {
                System.out.println("held " + held.path());
                while (System.in.read() >= 0) {}
            } catch (StateDirectoryInUse e) {
                System.out.println(e.getMessage());
            }
        }
    }

    private static Process start(Path directory, String... more) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Holder.class.getName(),
                directory.toString()));
        command.addAll(List.of(more));
        return new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
    }

    @Test
    void makesADirectoryForItsOwnerAloneAndItsParents() throws IOException {
        Path directory = parent.resolve("var/lib/looplease");
        try (StateDirectory held = StateDirectory.lock(directory)) {
            assertThat(held.path()).isEqualTo(directory);
            assertThat(mode(directory)).isEqualTo("rwx------");
            assertThat(mode(parent.resolve("var"))).isEqualTo("rwx------");
            assertThat(directory.resolve("lock"))
                    .hasContent(String.valueOf(ProcessHandle.current().pid()));
        }
    }

    @Test
    void refusesASecondHolderInThisProcessAndKeepsTheFirst() throws Exception {
        try (StateDirectory held = StateDirectory.lock(parent)) {
            assertThatExceptionOfType(StateDirectoryInUse.class)
                    .isThrownBy(() -> StateDirectory.lock(held.path()))
                    .withMessageContaining(parent.toString())
                    .withMessageContaining("process " + ProcessHandle.current().pid());
            // A fcntl lock would be gone by now: the second attempt has closed a descriptor of the same file.
            Process second = start(parent);
            try {
                assertThat(second.inputReader().readLine())
                        .contains("in use by process " + ProcessHandle.current().pid());
            } finally {
                second.destroyForcibly().waitFor();
            }
        }
        StateDirectory.lock(parent).close();
    }

    @Test
    void theLockOfAnotherProcessIsRespectedAndDiesWithIt() throws Exception {
        Process other = start(parent);
        try {
            assertThat(other.inputReader().readLine()).startsWith("held ");
            assertThatExceptionOfType(StateDirectoryInUse.class)
                    .isThrownBy(() -> StateDirectory.lock(parent))
                    .withMessageContaining("process " + other.pid());
        } finally {
            other.destroyForcibly().waitFor();
        }
        StateDirectory.lock(parent).close();
    }

    /** The fault: people who counted the images found one more, the lock. */
    @Test
    void aDirectoryThatPeopleLookAtIsLockedWithoutAFile() throws Exception {
        try (StateDirectory held = StateDirectory.lockInPlace(parent)) {
            assertThat(held.path()).isEmptyDirectory();
            assertThatExceptionOfType(StateDirectoryInUse.class)
                    .isThrownBy(() -> StateDirectory.lockInPlace(parent))
                    .withMessageContaining(parent.toString());
            Process second = start(parent, "in place");
            try {
                assertThat(second.inputReader().readLine()).contains("in use by another process");
            } finally {
                second.destroyForcibly().waitFor();
            }
        }
        Process other = start(parent, "in place");
        try {
            assertThat(other.inputReader().readLine()).startsWith("held ");
            assertThatExceptionOfType(StateDirectoryInUse.class).isThrownBy(() -> StateDirectory.lockInPlace(parent));
        } finally {
            other.destroyForcibly().waitFor();
        }
        StateDirectory.lockInPlace(parent).close();
        assertThat(parent).isEmptyDirectory();
    }

    @Test
    void refusesASymbolicLink() throws IOException {
        Path target = Files.createDirectory(parent.resolve("target"));
        for (Path to : new Path[] {target, parent.resolve("nowhere")}) {
            Path link = Files.createSymbolicLink(parent.resolve("link-to-" + to.getFileName()), to);
            assertThatIOException().isThrownBy(() -> StateDirectory.lockInPlace(link));
            assertThatIOException()
                    .isThrownBy(() -> StateDirectory.lock(link))
                    .withMessageContaining("symbolic link")
                    .withMessageContaining(link.toString());
        }
        assertThat(target).isEmptyDirectory();
    }

    @Test
    void refusesWhatIsNoDirectory() throws IOException {
        Path file = Files.writeString(parent.resolve("file"), "");
        assertThatIOException()
                .isThrownBy(() -> StateDirectory.lock(file))
                .withMessageContaining(file + " is no directory");
    }

    @Test
    void refusesADirectoryThatEverybodyMayWrite() throws IOException {
        Path open = Files.createDirectory(parent.resolve("open"));
        Files.setPosixFilePermissions(open, PosixFilePermissions.fromString("rwxrwxrwx"));
        assertThatIOException()
                .isThrownBy(() -> StateDirectory.lock(open))
                .withMessageContaining("writable by everybody")
                .withMessageContaining("chmod o-w");
        assertThatIOException()
                .isThrownBy(() -> StateDirectory.lockInPlace(open))
                .withMessageContaining("writable by everybody");
        assertThat(open).isEmptyDirectory();
    }

    @Test
    void aLockFileThatIsALinkIsNotFollowed() throws IOException {
        Path target = Files.writeString(parent.resolve("target"), "untouched");
        Path directory = Files.createDirectory(parent.resolve("state"));
        Files.createSymbolicLink(directory.resolve("lock"), target);
        assertThatIOException().isThrownBy(() -> StateDirectory.lock(directory)).withMessageContaining("ELOOP");
        assertThat(target).hasContent("untouched");
    }
}
