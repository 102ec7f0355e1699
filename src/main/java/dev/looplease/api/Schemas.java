package dev.looplease.api;

import io.swagger.v3.oas.models.OpenAPI;
import io.swagger.v3.oas.models.Operation;
import io.swagger.v3.oas.models.PathItem;
import io.swagger.v3.oas.models.media.MediaType;
import io.swagger.v3.oas.models.media.Schema;
import io.swagger.v3.oas.models.parameters.RequestBody;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What the models say beyond their fields: clients may leave out what may be null, and send nothing unknown; the agent
 * always writes every field, as null where there is nothing.
 */
final class Schemas {

    private final Map<String, Schema<?>> schemas;

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Schemas(OpenAPI api) {
        this.schemas = (Map) api.getComponents().getSchemas();
    }

    static void complete(OpenAPI api) {
        new Schemas(api).completeAll(api);
    }

    private void completeAll(OpenAPI api) {
        Set<String> fromClients = new HashSet<>();
        api.getPaths().values().stream()
                .map(PathItem::readOperations)
                .flatMap(List::stream)
                .map(Operation::getRequestBody)
                .filter(Objects::nonNull)
                .map(RequestBody::getContent)
                .flatMap(content -> content.values().stream())
                .map(MediaType::getSchema)
                .forEach(schema -> collect(schema, fromClients));
        schemas.forEach((name, schema) -> {
            if (fromClients.contains(name)) {
                schema.setAdditionalProperties(false);
            } else {
                requireNullable(schema);
            }
            modernise(schema);
        });
    }

    /** Adds the names of the models that {@code schema} is made of. */
    private void collect(Schema<?> schema, Set<String> names) {
        if (schema.get$ref() == null) {
            parts(schema).forEach(part -> collect(part, names));
        } else if (names.add(RecordConverter.nameOf(schema))) {
            parts(Objects.requireNonNull(schemas.get(RecordConverter.nameOf(schema))))
                    .forEach(part -> collect(part, names));
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Stream<Schema<?>> parts(Schema<?> schema) {
        Stream<Schema> fields = schema.getProperties() == null ? Stream.of() : schema.getProperties().values().stream();
        Stream<Schema> choices = schema.getOneOf() == null ? Stream.of() : schema.getOneOf().stream();
        Stream<Schema> items = Stream.of(schema.getItems(), schema.getAdditionalProperties())
                .filter(Schema.class::isInstance)
                .map(Schema.class::cast);
        return (Stream) Stream.of(fields, choices, items).flatMap(part -> part);
    }

    private static void requireNullable(Schema<?> schema) {
        if (schema.getProperties() == null) {
            return;
        }
        schema.getProperties().forEach((name, field) -> {
            if (isNullable(field)) {
                schema.addRequiredItem(name);
            }
        });
    }

    private static boolean isNullable(Schema<?> schema) {
        return mayBeNull(schema)
                || (schema.getOneOf() != null && schema.getOneOf().stream().anyMatch(Schemas::mayBeNull));
    }

    private static boolean mayBeNull(Schema<?> schema) {
        return schema.getTypes() != null && schema.getTypes().contains(RecordConverter.NULL);
    }

    /** OpenAPI 3.1 replaces {@code example} by JSON Schema's list of {@code examples}. */
    private static void modernise(Schema<?> schema) {
        if (schema.getExample() != null) {
            setExamples(schema, List.of(schema.getExample()));
            schema.setExample(null);
            schema.setExampleSetFlag(false);
        }
        parts(schema).forEach(Schemas::modernise);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static void setExamples(Schema<?> schema, List<?> examples) {
        ((Schema) schema).setExamples(examples);
    }
}
