package dev.looplease.api;

import com.fasterxml.jackson.annotation.JsonUnwrapped;
import io.swagger.v3.oas.models.Components;
import io.swagger.v3.oas.models.Operation;
import io.swagger.v3.oas.models.headers.Header;
import io.swagger.v3.oas.models.media.Schema;
import io.swagger.v3.oas.models.parameters.HeaderParameter;
import io.swagger.v3.oas.models.responses.ApiResponse;
import java.util.Arrays;
import java.util.Set;
import org.springdoc.core.customizers.GlobalOperationCustomizer;
import org.springframework.core.ResolvableType;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;
import org.springframework.web.method.HandlerMethod;

/** Describes the headers of answers, and the conditional GET that comes with an ETag. */
final class ResponseHeaders implements GlobalOperationCustomizer {

    @Override
    public Operation customize(Operation operation, HandlerMethod handler) {
        boolean single = answersOneResource(handler);
        operation.getResponses().forEach((status, response) -> {
            if (single && response.getContent() != null && status.startsWith("2")) {
                response.addHeaderObject(HttpHeaders.ETAG, reference(HttpHeaders.ETAG));
            }
            if (status.equals(Integer.toString(HttpStatus.UNAUTHORIZED.value()))) {
                response.addHeaderObject(HttpHeaders.WWW_AUTHENTICATE, reference(HttpHeaders.WWW_AUTHENTICATE));
            }
            if (status.equals(Integer.toString(HttpStatus.CREATED.value()))) {
                response.addHeaderObject(HttpHeaders.LOCATION, reference(HttpHeaders.LOCATION));
            }
        });
        if (single && ProblemResponses.method(handler).equals("GET")) {
            operation.addParametersItem(new HeaderParameter()
                    .name(HttpHeaders.IF_NONE_MATCH)
                    .description("Only if it has another ETag by now; 304 otherwise.")
                    .required(false)
                    .schema(text()));
            operation
                    .getResponses()
                    .addApiResponse("304", new ApiResponse().description("It still has the ETag of If-None-Match."));
        }
        return operation;
    }

    /** A single resource has an id; a list, or a look at the host, has none. */
    private static boolean answersOneResource(HandlerMethod handler) {
        Class<?> body = ResolvableType.forMethodParameter(handler.getReturnType())
                .as(ResponseEntity.class)
                .getGeneric(0)
                .resolve(Void.class);
        return hasId(body);
    }

    private static boolean hasId(Class<?> body) {
        return body.isRecord()
                && Arrays.stream(body.getRecordComponents())
                        .anyMatch(component -> component.isAnnotationPresent(JsonUnwrapped.class)
                                ? hasId(component.getType())
                                : component.getName().equals("id"));
    }

    static Header reference(String name) {
        return new Header().$ref(name);
    }

    /** What the references lead to. */
    static void describe(Components components) {
        components
                .addHeaders(
                        HttpHeaders.ETAG,
                        header("The resource's revision, a strong entity tag.", text(), "\"k3v9x0q2m7adp1c8.4\""))
                .addHeaders(
                        HttpHeaders.LOCATION,
                        header("The new resource's path.", text(), "/loop-devices/k3v9x0q2m7adp1c8"))
                .addHeaders(
                        HttpHeaders.RETRY_AFTER,
                        header("When to try again, in seconds.", new Schema<>().types(Set.of("integer")), 42))
                .addHeaders(HttpHeaders.WWW_AUTHENTICATE, header("How to say who asks.", text(), "Bearer"));
    }

    private static Header header(String description, Schema<?> schema, Object example) {
        return new Header()
                .description(description)
                .required(true)
                .schema(schema)
                .example(example);
    }

    private static Schema<?> text() {
        return new Schema<>().types(Set.of("string"));
    }
}
