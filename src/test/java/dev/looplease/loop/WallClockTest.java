package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;

class WallClockTest {

    private static final long END = Duration.ofHours(1).toNanos();

    private long nanos = 5_000_000_000L;
    private Instant now = Instant.parse("2026-11-22T18:08:05.000900Z");

    private final Clock wall = new Clock() {
        @Override
        public ZoneId getZone() {
            return ZoneOffset.UTC;
        }

        @Override
        public Clock withZone(ZoneId zone) {
            return this;
        }

        @Override
        public Instant instant() {
            return now;
        }
    };

    private final WallClock clock = new WallClock(() -> nanos, wall);

    private void pass(Duration byTicker, Duration byWall) {
        nanos += byTicker.toNanos();
        now = now.plus(byWall);
    }

    @Test
    void saysWhenAMomentIsToTheMillisecond() {
        assertThat(clock.at(nanos)).isEqualTo("2026-11-22T18:08:05Z");
        assertThat(clock.at(END)).isEqualTo("2026-11-22T19:08:00Z");
    }

    /** The fault: the end of one lease was told a millisecond earlier or later at each look. */
    @Test
    void tellsAMomentInTheSameWordsWhateverPassesBetweenTwoReadings() {
        for (int i = 0; i < 100; i++) {
            pass(Duration.ofSeconds(10), Duration.ofSeconds(10).plusMillis(i % 7 - 3));
            assertThat(clock.at(END)).isEqualTo("2026-11-22T19:08:00Z");
        }
    }

    @Test
    void followsAWallClockThatIsSetAndATickerThatWentOnWhileItStood() {
        pass(Duration.ofSeconds(1), Duration.ofDays(1).plusSeconds(1));
        assertThat(clock.at(END)).isEqualTo("2026-11-23T19:08:00Z");

        pass(Duration.ofSeconds(1), Duration.ofDays(-1).plusSeconds(1));
        assertThat(clock.at(END)).isEqualTo("2026-11-22T19:08:00Z");

        pass(Duration.ofMinutes(1), Duration.ZERO);
        assertThat(clock.at(END)).isEqualTo("2026-11-22T19:07:00Z");
    }
}
