package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.looplease.KernelTest;
import dev.looplease.losetup.Backend;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How long a key stands for what it made. */
@KernelTest
class RequestKeyTest {

    private static final RequestKey NIGHTLY = new RequestKey("nightly", "fingerprint");

    @TempDir
    private Path home;

    /** The fault guarded: every other request with the same key was answered 404, for what it had made long ago. */
    @Test
    void makesAnewWhatHasEndedLongAgo() throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            for (int night = 0; night < 3; night++) {
                LoopService.Answer<LoopSnapshot> answer = bench.service.create(
                        Bench.spec(Bench.MIB), new LeaseChoice.Own(Bench.terms(60)), Bench.OWNER, NIGHTLY);
                assertThat(answer.repeated()).isFalse();
                bench.deleted(answer.value());
                bench.advance(Duration.ofMinutes(16));
            }
        }
    }

    @Test
    void makesALeaseAnewThatHasEndedLongAgo() throws IOException {
        try (Bench bench = new Bench(home, Backend.IOCTL)) {
            for (int night = 0; night < 3; night++) {
                LoopService.Answer<LoopService.Group> answer =
                        bench.service.createLease(Bench.terms(60), List.of(), Bench.OWNER, NIGHTLY);
                assertThat(answer.repeated()).isFalse();
                bench.endLease(answer.value().lease().id());
                assertThatThrownBy(() -> bench.service.createLease(Bench.terms(60), List.of(), Bench.OWNER, NIGHTLY))
                        .isInstanceOf(LoopException.Ended.class);
                bench.advance(Duration.ofMinutes(16));
            }
        }
    }
}
