package dev.looplease.api;

import dev.looplease.loop.LoopException;
import dev.looplease.loop.LoopService;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.Phaser;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Lets requests in while the agent serves. Before, while it recovers, and after, while it stops, everything but the
 * liveness probe is told to come back.
 */
final class PhaseGate extends OncePerRequestFilter {

    private static final String LIVENESS = "/livez";

    private final LoopService service;
    private final ProblemWriter problems;
    /** One party for each request that is inside, and one for whoever stops the agent. */
    private final Phaser inside = new Phaser(1);

    PhaseGate(LoopService service, ProblemWriter problems) {
        this.service = service;
        this.problems = problems;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        if (request.getRequestURI().equals(LIVENESS)) {
            chain.doFilter(request, response);
            return;
        }
        inside.register();
        try {
            switch (service.phase()) {
                case SERVING -> chain.doFilter(request, response);
                case RECOVERING -> problems.write(request, response, new LoopException.Recovering());
                case STOPPING -> problems.write(request, response, new LoopException.ShuttingDown());
            }
        } finally {
            inside.arriveAndDeregister();
        }
    }

    /** Waits until everybody who is inside has an answer, a bounded time. */
    void awaitEmpty(Duration patience) throws InterruptedException {
        try {
            inside.awaitAdvanceInterruptibly(inside.arrive(), patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            logger.warn("Some requests are still under way; stopping all the same.");
        }
    }
}
