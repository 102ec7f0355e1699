package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** Whoever tries out tokens is slowed down, and nobody else. */
class WrongTokensTest {

    private long now;
    private final List<Duration> pauses = new ArrayList<>();
    private final WrongTokens wrong = new WrongTokens(() -> now, pauses::add);

    private void guess(String address, int times) {
        for (int i = 0; i < times; i++) {
            wrong.slowDown(address);
        }
    }

    @Test
    void aFewWrongTokensCostNothing() {
        guess("192.0.2.1", WrongTokens.FREE);

        assertThat(pauses).isEmpty();
    }

    @Test
    void manyCostTimeWhichIsBounded() {
        guess("192.0.2.1", WrongTokens.FREE + 100);

        assertThat(pauses).hasSize(100).isSorted().last().isEqualTo(WrongTokens.LONGEST);
        assertThat(pauses.getFirst()).isEqualTo(WrongTokens.FREE_AGAIN);
    }

    @Test
    void whoWaitsIsForgiven() {
        guess("192.0.2.1", WrongTokens.FREE + 100);
        pauses.clear();

        now += WrongTokens.FREE_AGAIN
                .multipliedBy(WrongTokens.FREE)
                .plus(WrongTokens.LONGEST)
                .toNanos();
        guess("192.0.2.1", WrongTokens.FREE);

        assertThat(pauses).isEmpty();
    }

    @Test
    void anotherAddressDoesNotPayForIt() {
        guess("192.0.2.1", WrongTokens.FREE + 100);
        pauses.clear();

        guess("192.0.2.2", 1);

        assertThat(pauses).isEmpty();
    }

    /** The fault: so many wait that none of the web server's threads is left for honest clients. */
    @Test
    void onlySoManyWaitAtOnce() throws InterruptedException {
        CountDownLatch end = new CountDownLatch(1);
        AtomicInteger waiting = new AtomicInteger();
        WrongTokens slow = new WrongTokens(() -> 0, pause -> {
            waiting.incrementAndGet();
            end.await();
        });
        for (int i = 0; i < WrongTokens.FREE; i++) {
            slow.slowDown("192.0.2.1");
        }
        List<Thread> clients = new ArrayList<>();
        for (int i = 0; i < 3 * WrongTokens.WAIT_AT_ONCE; i++) {
            clients.add(Thread.ofPlatform().start(() -> slow.slowDown("192.0.2.1")));
        }

        await().until(() -> clients.stream().filter(Thread::isAlive).count() == WrongTokens.WAIT_AT_ONCE);
        assertThat(waiting).hasValue(WrongTokens.WAIT_AT_ONCE);
        end.countDown();
        for (Thread client : clients) {
            client.join();
        }
    }
}
