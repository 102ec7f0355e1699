package dev.looplease.api;

import com.fasterxml.jackson.databind.JavaType;
import io.swagger.v3.core.converter.AnnotatedType;
import io.swagger.v3.core.converter.ModelConverter;
import io.swagger.v3.core.converter.ModelConverterContext;
import io.swagger.v3.core.util.Json31;
import io.swagger.v3.oas.models.Components;
import io.swagger.v3.oas.models.media.Schema;
import java.lang.reflect.RecordComponent;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads from the code what a record's fields may be: a {@code @Nullable} component may be null, an {@link Optional} one
 * absent, every other is required. (The generator's own converters know this of Kotlin's types only.)
 */
final class RecordConverter implements ModelConverter {

    static final String NULL = "null";

    @Override
    public @Nullable Schema<?> resolve(
            AnnotatedType type, ModelConverterContext context, Iterator<ModelConverter> chain) {
        if (!chain.hasNext()) {
            return null;
        }
        Schema<?> resolved = chain.next().resolve(type, context, chain);
        JavaType javaType = Json31.mapper().constructType(type.getType());
        if (resolved != null && javaType != null && javaType.getRawClass().isRecord()) {
            Schema<?> model = resolved.get$ref() == null
                    ? resolved
                    : context.getDefinedModels().get(nameOf(resolved));
            if (model != null && model.getProperties() != null) {
                describe(model, javaType.getRawClass().getRecordComponents());
            }
        }
        return resolved;
    }

    static String nameOf(Schema<?> reference) {
        return reference.get$ref().substring(Components.COMPONENTS_SCHEMAS_REF.length());
    }

    private static void describe(Schema<?> model, RecordComponent[] components) {
        for (RecordComponent component : components) {
            String name = component.getName();
            if (component.getAnnotatedType().isAnnotationPresent(Nullable.class)) {
                model.getProperties().computeIfPresent(name, (field, schema) -> nullable(schema));
            } else if (component.getType() != Optional.class
                    && model.getProperties().containsKey(name)
                    && (model.getRequired() == null || !model.getRequired().contains(name))) {
                model.addRequiredItem(name);
            }
        }
    }

    /** Adds null to what the field may be. A type may be met several times: a second time changes nothing. */
    private static Schema<?> nullable(Schema<?> schema) {
        if (schema.get$ref() != null) {
            Schema<?> either = new Schema<>().oneOf(List.of(schema, new Schema<>().types(Set.of(NULL))));
            either.setDescription(schema.getDescription());
            schema.setDescription(null);
            return either;
        }
        if (schema.getTypes() != null && !schema.getTypes().contains(NULL)) {
            Set<String> types = new LinkedHashSet<>(schema.getTypes());
            types.add(NULL);
            schema.setTypes(types);
            if (schema.getEnum() != null) {
                addNull(schema);
            }
        }
        return schema;
    }

    /** A value must be one of the enumerated ones whatever its type: JSON Schema validation, 6.1.2. */
    @SuppressWarnings({"unchecked", "rawtypes", "NullAway"})
    private static void addNull(Schema<?> schema) {
        ((Schema) schema).addEnumItemObject(null);
    }
}
