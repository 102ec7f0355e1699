package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.journal.Journal;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Room is promised and given back to the last byte, and nobody waits for another's disk. */
class LoopRegistryTest {

    @TempDir
    private Path home;

    private final ManualTicker ticker = new ManualTicker();
    private Journal journal;
    private LoopRegistry registry;
    private ManagedLoop loop;

    @BeforeEach
    void reserve() throws IOException {
        journal = Journal.open(home.resolve("journal"));
        Records records = new Records(journal, "this-boot", "this-agent", ticker, Clock.systemUTC());
        registry = new LoopRegistry(Bench.UNLIMITED, ticker, new Agenda(), records, new RequestKeys());
        Lease lease = new Lease(
                new Lease.Terms("lease", "tester", Map.of(), OnExpiry.DETACH, null, Instant.EPOCH, true, null),
                Lease.Times.notStarted(null),
                records);
        loop = ManagedLoop.wanted(Bench.spec(Bench.MIB), lease, Instant.EPOCH, null);
        registry.reserve(List.of(loop), Quota.NONE);
    }

    @AfterEach
    void close() throws IOException {
        journal.close();
    }

    private static LoopRegistry.Usage mib(int promised) {
        return new LoopRegistry.Usage(1, (long) promised * Bench.MIB);
    }

    /** The fault guarded: everybody waited for the lock of the registry while one promise was written to the journal. */
    @Test
    void othersGoOnWhileAPromiseIsRecorded() throws Exception {
        ManagedLoop held = loop;
        Thread growing;
        synchronized (held) {
            // As a slow disk would, this holds the promise up where it is recorded.
            growing = Thread.ofPlatform().start(() -> registry.promise(loop, 3L * Bench.MIB, Quota.NONE));
            Bench.soon().until(() -> growing.getState() == Thread.State.BLOCKED);

            assertThat(CompletableFuture.supplyAsync(registry::usage))
                    .as("what is promised by then, so that nobody else takes it")
                    .succeedsWithin(Duration.ofSeconds(10))
                    .isEqualTo(mib(3));
        }
        growing.join();
        assertThat(registry.usage()).isEqualTo(mib(3));
    }

    @Test
    void whatTheJournalDoesNotTakeIsNotPromised() throws IOException {
        registry.promise(loop, 3L * Bench.MIB, Quota.NONE);
        journal.close();

        assertThatThrownBy(() -> registry.promise(loop, 4L * Bench.MIB, Quota.NONE))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> registry.promise(loop, Bench.MIB, Quota.NONE))
                .isInstanceOf(IllegalStateException.class);
        assertThat(registry.usage()).isEqualTo(mib(3));
    }

    @Test
    void aSmallerImageGivesRoomBack() {
        registry.promise(loop, 3L * Bench.MIB, Quota.NONE);
        registry.promise(loop, Bench.MIB, Quota.NONE);
        assertThat(registry.usage()).isEqualTo(mib(1));
        registry.promiseAgain(loop, 3L * Bench.MIB);
        assertThat(registry.usage()).isEqualTo(mib(3));
    }
}
