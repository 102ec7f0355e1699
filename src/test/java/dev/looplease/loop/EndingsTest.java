package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class EndingsTest {

    private final ManualTicker ticker = new ManualTicker();
    private final List<String> forgotten = new ArrayList<>();
    private final Endings endings = new Endings(ticker, forgotten::add);

    private Optional<EndReason> reason(String id) {
        return endings.find(id).map(Endings.Ending::reason);
    }

    @Test
    void remembersTenThousand() {
        for (int i = 0; i < Endings.AT_MOST; i++) {
            endings.add("id" + i, "owner", EndReason.EXPIRED);
        }
        assertThat(reason("id0")).contains(EndReason.EXPIRED);

        endings.add("one more", "owner", EndReason.LOST);

        assertThat(reason("id0")).isEmpty();
        assertThat(reason("id1")).contains(EndReason.EXPIRED);
        assertThat(reason("one more")).contains(EndReason.LOST);
        assertThat(forgotten).containsExactly("id0");
    }

    @Test
    void remembersForAQuarterOfAnHour() {
        endings.add("id", "owner", EndReason.DELETED);
        ticker.advance(Duration.ofMinutes(15).minusNanos(1));
        assertThat(reason("id")).contains(EndReason.DELETED);

        ticker.advance(Duration.ofNanos(1));

        assertThat(reason("id")).isEmpty();
        assertThat(forgotten).containsExactly("id");
    }
}
