package dev.looplease.ops;

import dev.looplease.loop.LoopEvent;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;
import org.slf4j.spi.LoggingEventBuilder;
import org.springframework.stereotype.Component;

/** One line an event, with device id, name, lease and owner as key-value pairs that a JSON format keeps apart. */
@Component
class EventLog implements LoopEvent.Listener {

    private static final Logger log = LoggerFactory.getLogger("looplease.events");

    @Override
    public void happened(LoopEvent event) {
        LoggingEventBuilder line = log.atLevel(level(event.type()));
        line = with(line, "deviceId", event.deviceId());
        line = with(line, "device", event.name());
        line = with(line, "leaseId", event.leaseId());
        line = with(line, "owner", event.owner());
        line = with(line, "detail", event.detail());
        line.log(event.type().text());
    }

    private static Level level(LoopEvent.Type type) {
        return switch (type) {
            case DEVICE_STUCK, DEVICE_LOST -> Level.WARN;
            default -> Level.INFO;
        };
    }

    private static LoggingEventBuilder with(LoggingEventBuilder line, String key, @Nullable String value) {
        return value == null ? line : line.addKeyValue(key, value);
    }
}
