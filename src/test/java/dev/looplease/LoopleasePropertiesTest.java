package dev.looplease;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.MapConfigurationPropertySource;

class LoopleasePropertiesTest {

    /** With only one end of the range set, an agent refused to start for a default that nobody had chosen. */
    @ParameterizedTest
    @CsvSource({
        "min-ttl, 1s, PT1H",
        "max-ttl, 1m, PT1M",
        "min-ttl, 2h, PT2H",
        "max-ttl, 1d, PT1H",
        "default-ttl, 5m, PT5M"
    })
    void theUsualTtlStaysWithinTheRangeThatIsSet(String setting, String value, Duration usual) {
        Binder settings = new Binder(new MapConfigurationPropertySource(Map.of("looplease.lease." + setting, value)));

        LoopleaseProperties properties = settings.bindOrCreate("looplease", LoopleaseProperties.class);

        assertThat(properties.limits().defaultTtl()).isEqualTo(usual);
    }
}
