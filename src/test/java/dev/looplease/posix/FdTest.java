package dev.looplease.posix;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FdTest {

    @TempDir
    private Path directory;

    @Test
    void whoBorrowedItClosesNothing() throws IOException {
        try (Fd owned = Posix.open(directory, Posix.O_PATH | Posix.O_DIRECTORY)) {
            Fd borrowed = owned.borrowed();

            borrowed.close();

            assertThat(Posix.stat(owned).isDirectory()).isTrue();
            assertThat(borrowed.number()).isEqualTo(owned.number());
        }
    }

    /** By then the number may be another file's. */
    @Test
    void whoBorrowedItCannotUseItOnceItIsClosed() throws IOException {
        Fd owned = Posix.open(directory, Posix.O_PATH | Posix.O_DIRECTORY);
        Fd borrowed = owned.borrowed();

        owned.close();

        assertThatIllegalStateException().isThrownBy(borrowed::number);
    }
}
