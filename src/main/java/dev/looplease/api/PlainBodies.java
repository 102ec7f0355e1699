package dev.looplease.api;

import dev.looplease.loop.LoopException;
import java.lang.reflect.Type;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.springframework.core.MethodParameter;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpInputMessage;
import org.springframework.http.HttpStatus;
import org.springframework.http.converter.HttpMessageConverter;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.method.annotation.RequestBodyAdviceAdapter;

/**
 * Bodies come as they are. A coding is refused by its name instead of read as broken JSON; nothing is ever unpacked, so
 * that a few bytes cannot become many. And {@code null} is a mistake, not the body that was left out.
 */
@RestControllerAdvice
class PlainBodies extends RequestBodyAdviceAdapter {

    private static final String IDENTITY = "identity";

    @Override
    public boolean supports(MethodParameter parameter, Type type, Class<? extends HttpMessageConverter<?>> converter) {
        return true;
    }

    @Override
    public HttpInputMessage beforeBodyRead(
            HttpInputMessage message,
            MethodParameter parameter,
            Type type,
            Class<? extends HttpMessageConverter<?>> converter) {
        // What says identity says nothing.
        List<String> codings = message.getHeaders().getOrEmpty(HttpHeaders.CONTENT_ENCODING);
        if (!codings.stream().allMatch(IDENTITY::equalsIgnoreCase)) {
            throw new ResponseStatusException(
                    HttpStatus.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is not supported: send the body as it is.");
        }
        return message;
    }

    @Override
    public Object afterBodyRead(
            @Nullable Object body,
            HttpInputMessage message,
            MethodParameter parameter,
            Type type,
            Class<? extends HttpMessageConverter<?>> converter) {
        if (body == null) {
            throw new LoopException.Invalid("body", "must be an object, not null");
        }
        return body;
    }
}
