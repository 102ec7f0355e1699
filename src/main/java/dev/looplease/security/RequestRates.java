package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.LoopException;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.LongSupplier;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Holds every owner to its requests a second. Each request moves the moment from which the owner's next one is in order;
 * that moment may lie a second ahead, which lets as many come at once.
 */
final class RequestRates extends OncePerRequestFilter {

    private static final long SECOND = Duration.ofSeconds(1).toNanos();

    /** Names of an identity provider can be many; those that are up to date with their requests need no entry. */
    private static final int MANY = 10_000;

    private final Refusals refusals;
    private final LongSupplier nanos;
    private final Map<String, Long> inOrderFrom = new HashMap<>();

    RequestRates(Refusals refusals, LongSupplier nanos) {
        this.refusals = refusals;
        this.nanos = nanos;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        Authentication who = SecurityContextHolder.getContext().getAuthentication();
        Optional<Duration> wait =
                who != null && who.getPrincipal() instanceof Caller caller ? count(caller) : Optional.empty();
        if (wait.isPresent()) {
            refusals.refuse(
                    request,
                    response,
                    new LoopException.QuotaExceeded(
                            "These are more requests a second than you may send. Wait a little.", wait.get()));
        } else {
            chain.doFilter(request, response);
        }
    }

    /** Counts a request; returns how long to wait when it is one too many, which then does not count. */
    Optional<Duration> count(Caller caller) {
        OptionalInt perSecond = caller.quota().requestsPerSecond();
        return perSecond.isEmpty() ? Optional.empty() : count(caller.name(), SECOND / perSecond.getAsInt());
    }

    private synchronized Optional<Duration> count(String owner, long each) {
        long now = nanos.getAsLong();
        if (inOrderFrom.size() > MANY) {
            inOrderFrom.values().removeIf(from -> from - now <= 0);
        }
        long known = inOrderFrom.getOrDefault(owner, now);
        long from = known - now < 0 ? now : known;
        if (from + each - now > SECOND) {
            return Optional.of(Duration.ofSeconds(1));
        }
        inOrderFrom.put(owner, from + each);
        return Optional.empty();
    }
}
