package dev.looplease.api;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import dev.looplease.api.ProblemCatalogue.Entry;
import dev.looplease.api.ProblemCatalogue.Shape;
import io.swagger.v3.core.converter.AnnotatedType;
import io.swagger.v3.core.converter.ModelConverters;
import io.swagger.v3.core.util.Json31;
import io.swagger.v3.oas.models.Components;
import io.swagger.v3.oas.models.Operation;
import io.swagger.v3.oas.models.examples.Example;
import io.swagger.v3.oas.models.media.Content;
import io.swagger.v3.oas.models.media.MediaType;
import io.swagger.v3.oas.models.media.Schema;
import io.swagger.v3.oas.models.parameters.Parameter;
import io.swagger.v3.oas.models.responses.ApiResponse;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.springdoc.core.customizers.GlobalOperationComponentsCustomizer;
import org.springframework.core.MethodParameter;
import org.springframework.core.annotation.AnnotatedElementUtils;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.method.HandlerMethod;
import tools.jackson.databind.json.JsonMapper;

/** Adds to every operation the problem documents that it can answer with. */
final class ProblemResponses implements GlobalOperationComponentsCustomizer {

    private static final String SCHEMA = "Problem";

    private static final String DESCRIPTION = """
            Every error is one of these (RFC 9457). Clients decide by `type`; the other texts are for people.

            | status | type | title |
            | --- | --- | --- |
            """;

    private final JsonMapper json;

    /** @param json what writes the real ones */
    ProblemResponses(JsonMapper json) {
        this.json = json;
    }

    @Override
    public Operation customize(Operation operation, HandlerMethod handler) {
        throw new UnsupportedOperationException("the examples need a place");
    }

    @Override
    public Operation customize(Operation operation, Components components, HandlerMethod handler) {
        List<Entry> problems = ProblemCatalogue.of(shape(operation, handler));
        problems.stream()
                .collect(Collectors.groupingBy(Entry::status, TreeMap::new, Collectors.toList()))
                .forEach((status, entries) ->
                        operation.getResponses().addApiResponse(Integer.toString(status), response(entries)));
        problems.forEach(entry -> components.addExamples(entry.name(), example(entry)));
        return operation;
    }

    private static Shape shape(Operation operation, HandlerMethod handler) {
        MayRefuse declared = handler.getMethodAnnotation(MayRefuse.class);
        return new Shape(
                method(handler),
                bodyFields(handler),
                parameters(operation, "path"),
                parameters(operation, "query"),
                parameters(operation, "header"),
                declared == null ? Set.of() : Set.of(declared.value()));
    }

    static String method(HandlerMethod handler) {
        @Nullable
        RequestMapping mapping = AnnotatedElementUtils.findMergedAnnotation(handler.getMethod(), RequestMapping.class);
        if (mapping == null || mapping.method().length != 1) {
            throw new IllegalStateException(handler + " does not say its one method");
        }
        return mapping.method()[0].name();
    }

    private static Set<String> bodyFields(HandlerMethod handler) {
        return Arrays.stream(handler.getMethodParameters())
                .filter(parameter -> parameter.hasParameterAnnotation(RequestBody.class))
                .map(MethodParameter::getParameterType)
                .flatMap(type -> Stream.of(type.getRecordComponents()))
                .map(RecordComponent::getName)
                .collect(Collectors.toSet());
    }

    private static Set<String> parameters(Operation operation, String in) {
        return operation.getParameters() == null
                ? Set.of()
                : operation.getParameters().stream()
                        .filter(parameter -> parameter.getIn().equals(in))
                        .map(Parameter::getName)
                        .collect(Collectors.toSet());
    }

    private static ApiResponse response(List<Entry> entries) {
        MediaType content = new MediaType().schema(new Schema<>().$ref(SCHEMA));
        entries.forEach(entry -> content.addExamples(entry.name(), new Example().$ref(entry.name())));
        ApiResponse response = new ApiResponse()
                .description(description(entries))
                .content(new Content().addMediaType("application/problem+json", content));
        if (entries.stream().anyMatch(entry -> entry.problem().retryAfter().isPresent())) {
            response.addHeaderObject("Retry-After", ResponseHeaders.reference("Retry-After"));
        }
        return response;
    }

    private static String description(List<Entry> entries) {
        return entries.stream()
                .map(entry -> entry.title() + ": `" + entry.type() + "`")
                .distinct()
                .collect(Collectors.joining("\n\n"));
    }

    private Example example(Entry entry) {
        return new Example().summary(entry.summary()).value(document(entry));
    }

    private JsonNode document(Entry entry) {
        try {
            return Json31.mapper()
                    .readTree(json.writeValueAsString(entry.problem().detail()));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The model that all of them share, with the list of their types. */
    static void describe(Components components) {
        Map<String, Schema<?>> models = modelsOf(ProblemDocument.class);
        models.forEach(components.getSchemas()::putIfAbsent);
        Objects.requireNonNull(models.get(SCHEMA))
                .setDescription(DESCRIPTION
                        + ProblemCatalogue.all()
                                .map(entry ->
                                        "| %d | `%s` | %s |\n".formatted(entry.status(), entry.type(), entry.title()))
                                .distinct()
                                .collect(Collectors.joining()));
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Map<String, Schema<?>> modelsOf(Class<?> type) {
        return (Map)
                ModelConverters.getInstance(true).readAllAsResolvedSchema(new AnnotatedType(type)).referencedSchemas;
    }
}
