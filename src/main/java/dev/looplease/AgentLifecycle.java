package dev.looplease;

import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopService;
import jakarta.annotation.PostConstruct;
import jakarta.annotation.PreDestroy;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.availability.AvailabilityChangeEvent;
import org.springframework.boot.availability.LivenessState;
import org.springframework.boot.availability.ReadinessState;
import org.springframework.boot.web.server.context.WebServerInitializedEvent;
import org.springframework.context.ApplicationContext;
import org.springframework.context.event.ContextClosedEvent;
import org.springframework.context.event.EventListener;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

/**
 * Starts and stops the agent in the right order: the port opens first, then recovery runs, then everything is served;
 * at the end nothing new is let in, and what is under way finishes.
 */
@Component
class AgentLifecycle {

    private static final Logger log = LoggerFactory.getLogger(AgentLifecycle.class);

    private static final long FIRST_RETRY_MILLIS = 100;
    private static final long LAST_RETRY_MILLIS = 30_000;

    private final LoopService service;
    private final LoopleaseProperties properties;
    private final ApplicationContext context;
    private final CountDownLatch stopping = new CountDownLatch(1);

    AgentLifecycle(LoopService service, LoopleaseProperties properties, ApplicationContext context) {
        this.service = service;
        this.properties = properties;
        this.context = context;
    }

    /** Before the port opens: Boot says so only when all of the start is over, and a probe in between would be told DOWN. */
    @PostConstruct
    void beAlive() {
        AvailabilityChangeEvent.publish(context, LivenessState.CORRECT);
    }

    @EventListener
    void recover(WebServerInitializedEvent opened) {
        if (!opened.getApplicationContext().equals(context)) {
            // The management server's, where it has a port of its own.
            return;
        }
        Thread.ofPlatform().name("recovery").start(this::recover);
    }

    /** Tries until it has; who cannot read the kernel now, for want of descriptors or memory, may soon. */
    void recover() {
        try {
            for (long pause = FIRST_RETRY_MILLIS;
                    !tryToRecover(pause);
                    pause = Math.min(2 * pause, LAST_RETRY_MILLIS)) {
                if (stopping.await(pause, TimeUnit.MILLISECONDS)) {
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            log.error("Recovery failed: the agent stays alive, and serves nothing until it is started again.", e);
            AvailabilityChangeEvent.publish(context, ReadinessState.REFUSING_TRAFFIC);
        }
    }

    private boolean tryToRecover(long pause) {
        try {
            service.recover();
            return true;
        } catch (LoopException e) {
            log.warn("Recovery has not begun: it is tried again in {} ms, and nothing is served before.", pause, e);
            return false;
        }
    }

    /** Before anything else hears of the stop, the web server's graceful phase included. */
    @EventListener
    @Order(Ordered.HIGHEST_PRECEDENCE)
    void close(ContextClosedEvent closed) {
        if (closed.getApplicationContext().equals(context)) {
            service.stop();
            stopping.countDown();
        }
    }

    @PreDestroy
    void stop() {
        service.close(properties.onShutdown() == LoopleaseProperties.OnShutdown.RELEASE);
    }
}
