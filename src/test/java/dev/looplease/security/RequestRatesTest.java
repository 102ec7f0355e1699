package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mockito.Mockito.mock;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.time.Duration;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.web.servlet.HandlerExceptionResolver;

/** So many requests a second, and no more, for each owner. */
class RequestRatesTest {

    private long now = Long.MAX_VALUE - 10; // System.nanoTime may be anything, and overflow
    private final RequestRates rates =
            new RequestRates(new Refusals(mock(HandlerExceptionResolver.class), new WrongTokens()), () -> now);

    private static Caller caller(String name, OptionalInt perSecond) {
        return new Caller(
                name,
                Caller.Role.USER,
                new Quota(OptionalInt.empty(), OptionalLong.empty(), OptionalInt.empty(), perSecond),
                Caller.Sight.FULL);
    }

    private int accepted(Caller caller, int requests) {
        int accepted = 0;
        for (int i = 0; i < requests; i++) {
            accepted += rates.count(caller).isEmpty() ? 1 : 0;
        }
        return accepted;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 100, 100_000})
    void asManyAsMayComeInASecondMayComeAtOnce(int perSecond) {
        Caller caller = caller("a", OptionalInt.of(perSecond));

        assertThat(accepted(caller, 2 * perSecond)).isEqualTo(perSecond);
        now += Duration.ofSeconds(1).toNanos();
        assertThat(accepted(caller, 2 * perSecond)).isEqualTo(perSecond);
        now += Duration.ofHours(1).toNanos();
        assertThat(accepted(caller, 2 * perSecond))
                .as("what was not used is not kept")
                .isEqualTo(perSecond);
    }

    @Test
    void eachOwnerHasItsOwn() {
        assertThat(accepted(caller("a", OptionalInt.of(2)), 5)).isEqualTo(2);
        assertThat(accepted(caller("b", OptionalInt.of(2)), 5)).isEqualTo(2);
        assertThat(accepted(caller("c", OptionalInt.empty()), 5)).isEqualTo(5);
    }
}
