package dev.looplease.api;

import dev.looplease.loop.LoopException;
import io.swagger.v3.oas.annotations.Operation;
import io.swagger.v3.oas.annotations.Parameter;
import io.swagger.v3.oas.annotations.enums.ParameterIn;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.lang.reflect.Method;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.springframework.core.MethodParameter;
import org.springframework.util.StringUtils;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.method.HandlerMethod;
import org.springframework.web.servlet.HandlerInterceptor;

/**
 * Reads queries as strictly as JSON. Of a filter that is misspelt, doubled or empty Spring would make no filter, or another
 * one, and a script that cleans up would then take everything.
 */
final class KnownParameters implements HandlerInterceptor {

    /** Of an unknown name an answer repeats no more. */
    private static final int SHOWN_CHARS = 64;

    private final Map<Method, Map<String, Kind>> known = new ConcurrentHashMap<>();

    /** What a parameter's value may be. */
    private enum Kind {
        ONE,
        BOOLEAN,
        /** One or more, each of which the controller reads by hand. */
        MANY
    }

    @Override
    public boolean preHandle(HttpServletRequest request, HttpServletResponse response, Object handler) {
        String query = request.getQueryString();
        if (query != null
                && request.getDispatcherType() == DispatcherType.REQUEST
                && handler instanceof HandlerMethod method
                && NoBody.isOurs(method)
                && method.hasMethodAnnotation(Operation.class)) {
            Map<String, Kind> mine = known.computeIfAbsent(method.getMethod(), key -> parameters(method));
            if (mine.isEmpty()) {
                // By hand: asked for parameters, Tomcat would read those of a form's body too.
                refuseAll(query);
            } else {
                request.getParameterMap().forEach((name, values) -> check(name, values, mine));
            }
        }
        return true;
    }

    private static Map<String, Kind> parameters(HandlerMethod method) {
        Map<String, Kind> found = new TreeMap<>();
        for (MethodParameter parameter : method.getMethodParameters()) {
            if (parameter.hasParameterAnnotation(RequestParam.class)) {
                Class<?> type = parameter.nestedIfOptional().getNestedParameterType();
                boolean isBoolean = type == boolean.class || type == Boolean.class;
                found.put(nameOf(parameter), isBoolean ? Kind.BOOLEAN : Kind.ONE);
            }
        }
        Operation described = Objects.requireNonNull(method.getMethodAnnotation(Operation.class));
        for (Parameter parameter : described.parameters()) {
            if (parameter.in() == ParameterIn.QUERY) {
                found.put(parameter.name(), Kind.MANY);
            }
        }
        return found;
    }

    private static String nameOf(MethodParameter parameter) {
        RequestParam annotation = Objects.requireNonNull(parameter.getParameterAnnotation(RequestParam.class));
        return annotation.name().isEmpty()
                ? Objects.requireNonNull(parameter.getParameter().getName())
                : annotation.name();
    }

    private static void refuseAll(String query) {
        for (String part : query.split("&", -1)) {
            if (!part.isEmpty()) {
                throw new LoopException.Invalid(
                        shown(part.split("=", 2)[0]), "is unknown: this call takes no parameters");
            }
        }
    }

    private static void check(String name, String[] values, Map<String, Kind> known) {
        @Nullable Kind kind = known.get(name);
        if (kind == null) {
            throw new LoopException.Invalid(shown(name), "is unknown; known are " + String.join(", ", known.keySet()));
        }
        if (kind == Kind.MANY) {
            return;
        }
        if (values.length > 1) {
            throw new LoopException.Invalid(name, "is there twice");
        }
        if (kind == Kind.BOOLEAN && !values[0].equals("true") && !values[0].equals("false")) {
            throw new LoopException.Invalid(name, "must be " + JsonErrors.wanted(Boolean.class));
        }
        if (values[0].isEmpty()) {
            throw new LoopException.Invalid(name, JsonChecks.EMPTY);
        }
    }

    private static String shown(String name) {
        return StringUtils.truncate(name, SHOWN_CHARS);
    }
}
