package dev.looplease.acceptance;

import com.networknt.schema.Error;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SchemaRegistryConfig;
import com.networknt.schema.SpecificationVersion;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** The API as its OpenAPI document describes it, and whether an answer is one of those that the document allows. */
final class DescribedApi {

    private static final String PROBLEM = "application/problem+json";

    private static final Set<String> METHODS = Set.of("get", "put", "post", "delete", "patch", "head", "options");

    /** An operation: {@code GET /leases/{id}}. */
    record Operation(String method, String path, JsonNode description) {

        @Override
        public String toString() {
            return method + " " + path;
        }
    }

    private final JsonNode document;
    private final List<Operation> operations = new ArrayList<>();
    private final SchemaRegistry registry;
    private final Map<JsonNode, Schema> schemas = new HashMap<>();

    DescribedApi(JsonNode document) {
        this.document = document;
        document.path("paths")
                .properties()
                .forEach(path -> path.getValue().properties().stream()
                        .filter(member -> METHODS.contains(member.getKey()))
                        .forEach(member -> operations.add(new Operation(
                                member.getKey().toUpperCase(Locale.ROOT), path.getKey(), member.getValue()))));
        registry = SchemaRegistry.withDefaultDialect(
                SpecificationVersion.DRAFT_2020_12,
                builder -> builder.schemaRegistryConfig(SchemaRegistryConfig.builder()
                        .formatAssertionsEnabled(true)
                        .build()));
    }

    List<Operation> operations() {
        return operations;
    }

    /** Whether the path has this operation. */
    boolean has(String method, String path) {
        return operations.stream()
                .anyMatch(operation ->
                        operation.method().equals(method) && operation.path().equals(path));
    }

    /** The node itself, or what it refers to. */
    JsonNode resolve(JsonNode node) {
        String reference = node.path("$ref").asString("");
        return reference.startsWith("#") ? resolve(document.at(reference.substring(1))) : node;
    }

    /** What the document does not allow in an answer; empty if it is as described. */
    Optional<String> complaint(Operation operation, RawClient.Reply reply) {
        JsonNode described = operation.description().path("responses").path(Integer.toString(reply.status()));
        if (described.isMissingNode()) {
            return Optional.of("status " + reply.status() + " is not documented");
        }
        return headerComplaint(described, reply).or(() -> bodyComplaint(described, reply));
    }

    private Optional<String> headerComplaint(JsonNode described, RawClient.Reply reply) {
        for (Map.Entry<String, JsonNode> member : described.path("headers").properties()) {
            JsonNode header = resolve(member.getValue());
            Optional<String> value = reply.header(member.getKey());
            if (value.isEmpty() && header.path("required").asBoolean() && !mayBeLeftOut(member.getKey(), reply)) {
                return Optional.of("the header " + member.getKey() + " is missing");
            }
            if (header.at("/schema/type").asString("").equals("integer")
                    && value.filter(text -> !text.matches("-?[0-9]{1,18}")).isPresent()) {
                return Optional.of(member.getKey() + " is no integer: " + value.get());
            }
        }
        return Optional.empty();
    }

    /** Of the problems that share a status only some know when to come back. */
    private static boolean mayBeLeftOut(String header, RawClient.Reply reply) {
        return header.equalsIgnoreCase("Retry-After") && reply.status() == 409;
    }

    private Optional<String> bodyComplaint(JsonNode described, RawClient.Reply reply) {
        JsonNode content = described.path("content");
        if (content.isEmpty()) {
            return reply.body().isEmpty() ? Optional.empty() : Optional.of("no body is documented");
        }
        JsonNode media = content.path(reply.mediaType());
        if (media.isMissingNode()) {
            return Optional.of("the media type '" + reply.mediaType() + "' is not documented");
        }
        if (!reply.mediaType().endsWith("json")) {
            return Optional.empty();
        }
        JsonNode body;
        try {
            body = Agent.parse(reply.body());
        } catch (JacksonException e) {
            return Optional.of("the body is not JSON");
        }
        List<Error> errors =
                schemas.computeIfAbsent(media.path("schema"), this::compile).validate(body);
        if (!errors.isEmpty()) {
            return Optional.of(errors.toString());
        }
        return reply.mediaType().equals(PROBLEM) ? problemComplaint(media, body) : Optional.empty();
    }

    private Optional<String> problemComplaint(JsonNode media, JsonNode problem) {
        Set<String> types = media.path("examples").properties().stream()
                .map(example -> resolve(example.getValue()).at("/value/type").asString())
                .collect(Collectors.toSet());
        String type = problem.path("type").asString();
        return types.contains(type) ? Optional.empty() : Optional.of(type + " is not documented here, only " + types);
    }

    /** A schema of the document, standing beside the components that it may refer to. */
    private Schema compile(JsonNode schema) {
        ObjectNode whole = Agent.object();
        whole.set("components", document.path("components"));
        whole.putArray("allOf").add(schema);
        return registry.getSchema(whole);
    }

    /** The parameters of an operation. */
    List<JsonNode> parameters(Operation operation) {
        return StreamSupport.stream(operation.description().path("parameters").spliterator(), false)
                .map(this::resolve)
                .toList();
    }
}
