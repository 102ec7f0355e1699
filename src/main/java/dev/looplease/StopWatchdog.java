package dev.looplease;

import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Ends the process in time after SIGTERM, whatever hangs. It goes by the JVM's own stop and not by the application
 * context's, because Boot does not close one that is still starting, and a stop that hangs there is to end too.
 */
final class StopWatchdog {

    private static final Logger log = LoggerFactory.getLogger(StopWatchdog.class);

    /** SIGTERM to the end: Kubernetes gives 30 s by default, systemd 90 s, impatient people less. */
    private static final Duration PATIENCE = Duration.ofSeconds(18);

    private static final int EX_SOFTWARE = 70;

    private StopWatchdog() {}

    /** From now on every stop of this process ends in time. */
    static void watch() {
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform()
                        .unstarted(() -> Thread.ofPlatform()
                                .name("stop-watchdog")
                                .daemon()
                                .start(StopWatchdog::haltIfStuck)));
    }

    private static void haltIfStuck() {
        try {
            Thread.sleep(PATIENCE);
            log.error("Stopping takes too long; what is left is for the next start to clean up.");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Runtime.getRuntime().halt(EX_SOFTWARE);
    }
}
