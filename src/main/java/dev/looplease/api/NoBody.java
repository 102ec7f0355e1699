package dev.looplease.api;

import dev.looplease.loop.LoopException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.converter.HttpMessageNotReadableException;
import org.springframework.http.server.ServletServerHttpRequest;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.method.HandlerMethod;
import org.springframework.web.servlet.HandlerInterceptor;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;
import tools.jackson.databind.json.JsonMapper;

/**
 * Changes that take no body refuse one: whoever sends {@code {"force": true}} where that is a parameter means something,
 * and must not be told that it worked. An empty object says nothing, and some clients always send one.
 */
final class NoBody implements HandlerInterceptor {

    private final JsonMapper json;

    NoBody(JsonMapper json) {
        this.json = json;
    }

    /** An object without fields. */
    private record Nothing() {}

    @Override
    public boolean preHandle(HttpServletRequest request, HttpServletResponse response, Object handler) {
        if (mayHaveBody(request) && handler instanceof HandlerMethod method && isOurs(method) && !takesBody(method)) {
            byte[] body = read(request);
            if (body.length > 0) {
                check(body);
            }
        }
        return true;
    }

    /** A body of a GET means nothing, to nobody: RFC 9110, 9.3.1. */
    private static boolean mayHaveBody(HttpServletRequest request) {
        @Nullable String encoding = request.getHeader(HttpHeaders.TRANSFER_ENCODING);
        return !request.getMethod().equals("GET")
                && !request.getMethod().equals("HEAD")
                && (encoding != null || request.getContentLengthLong() > 0);
    }

    static boolean isOurs(HandlerMethod method) {
        return NoBody.class.getPackage().equals(method.getBeanType().getPackage());
    }

    private static boolean takesBody(HandlerMethod method) {
        return Arrays.stream(method.getMethodParameters())
                .anyMatch(parameter -> parameter.hasParameterAnnotation(RequestBody.class));
    }

    private static byte[] read(HttpServletRequest request) {
        try {
            return request.getInputStream().readAllBytes();
        } catch (IOException e) {
            throw new HttpMessageNotReadableException(
                    "The body cannot be read.", e, new ServletServerHttpRequest(request));
        }
    }

    private void check(byte[] body) {
        try {
            json.readerFor(Nothing.class).readValue(body);
        } catch (UnrecognizedPropertyException e) {
            throw new LoopException.Invalid(e.getPropertyName(), "is unknown: this call takes no body");
        } catch (JacksonException e) {
            throw new LoopException.Invalid("body", "must be left out: this call takes none");
        }
    }
}
