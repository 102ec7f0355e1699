package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.LoopEvent;
import dev.looplease.loop.PlainText;
import io.swagger.v3.oas.annotations.Operation;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.spi.LoggingEventBuilder;
import org.springframework.web.filter.OncePerRequestFilter;
import org.springframework.web.method.HandlerMethod;
import org.springframework.web.servlet.HandlerMapping;

/**
 * Who did what: one line for each request that changes something or is refused, by the logger {@code looplease.audit}.
 * The time is the line's. Nothing that a client wrote is in it but what has passed the grammar of ids and names.
 */
final class AuditLog extends OncePerRequestFilter implements LoopEvent.Listener {

    private static final Logger log = LoggerFactory.getLogger("looplease.audit");

    /** The request attribute with the {@link Caller}; Spring Security has forgotten it when the answer is known. */
    static final String CALLER = AuditLog.class.getName() + ".caller";

    private static final Set<String> READS = Set.of("GET", "HEAD", "OPTIONS");

    /** Of what a line tells of each kind: a lease may have thousands of devices, and the event log names all. */
    private static final int MOST = 20;

    /** Of a path: each that is described has fewer. */
    private static final int MOST_PARTS = 6;

    private static final int UNAUTHORIZED = 401;
    private static final int FORBIDDEN = 403;
    private static final int INTERNAL_SERVER_ERROR = 500;

    /** What has happened in the request that this thread is working on. */
    private static final ThreadLocal<@Nullable List<LoopEvent>> EVENTS = new ThreadLocal<>();

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        List<LoopEvent> happened = new ArrayList<>();
        EVENTS.set(happened);
        boolean answered = false;
        try {
            chain.doFilter(request, response);
            answered = true;
        } finally {
            EVENTS.remove();
            // What nobody catches is answered by the server, outside of every filter.
            int status = answered || response.isCommitted() ? response.getStatus() : INTERNAL_SERVER_ERROR;
            if (!READS.contains(request.getMethod()) || status == UNAUTHORIZED || status == FORBIDDEN) {
                write(request, status, happened);
            }
        }
    }

    /** Heard on the thread that caused it; what is released in the background is in the event log alone. */
    @Override
    public void happened(LoopEvent event) {
        List<LoopEvent> here = EVENTS.get();
        if (here != null) {
            here.add(event);
        }
    }

    private static void write(HttpServletRequest request, int status, List<LoopEvent> happened) {
        LoggingEventBuilder line = log.atInfo();
        line = with(line, "who", request.getAttribute(CALLER) instanceof Caller caller ? caller.name() : null);
        line = with(line, "from", request.getRemoteAddr());
        line = with(line, "target", target(request));
        line = with(line, "deviceId", joined(happened, LoopEvent::deviceId));
        line = with(line, "device", joined(happened, LoopEvent::name));
        line = with(line, "image", joined(happened, LoopEvent::image));
        line = with(line, "leaseId", joined(happened, LoopEvent::leaseId));
        line.addKeyValue("status", status).log(operation(request));
    }

    /** {@code createLoopDevice}, as the API's description calls it; the method alone where it is nothing described. */
    private static String operation(HttpServletRequest request) {
        if (request.getAttribute(HandlerMapping.BEST_MATCHING_HANDLER_ATTRIBUTE) instanceof HandlerMethod handler) {
            Operation described = handler.getMethodAnnotation(Operation.class);
            if (described != null) {
                return described.operationId();
            }
        }
        return plain(request.getMethod());
    }

    /** The id or name in the path; of a request that was refused at the door, before anything was made of its path, that. */
    private static @Nullable String target(HttpServletRequest request) {
        if (request.getAttribute(HandlerMapping.BEST_MATCHING_HANDLER_ATTRIBUTE) == null) {
            return path(request.getRequestURI());
        }
        if (!(request.getAttribute(HandlerMapping.URI_TEMPLATE_VARIABLES_ATTRIBUTE) instanceof Map<?, ?> variables)
                || variables.isEmpty()) {
            return null;
        }
        return plain(String.valueOf(variables.values().iterator().next()));
    }

    private static String path(String uri) {
        return Stream.of(uri.split("/", MOST_PARTS + 1))
                .limit(MOST_PARTS)
                .map(part -> part.isEmpty() ? part : plain(part))
                .collect(Collectors.joining("/"));
    }

    private static @Nullable String joined(List<LoopEvent> events, Function<LoopEvent, @Nullable String> field) {
        Set<String> distinct = new LinkedHashSet<>();
        for (LoopEvent event : events) {
            String value = field.apply(event);
            if (value != null) {
                distinct.add(value);
            }
        }
        if (distinct.isEmpty()) {
            return null;
        }
        String told = distinct.stream().limit(MOST).collect(Collectors.joining(","));
        return distinct.size() <= MOST ? told : told + ",+" + (distinct.size() - MOST);
    }

    /** What a client wrote, if it looks like an id or a name; else only that it did not. */
    static String plain(String text) {
        return PlainText.is(text) ? text : "(unreadable)";
    }

    private static LoggingEventBuilder with(LoggingEventBuilder line, String key, @Nullable String value) {
        return value == null ? line : line.addKeyValue(key, value);
    }
}
