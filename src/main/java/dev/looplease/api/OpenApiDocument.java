package dev.looplease.api;

import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import io.swagger.v3.oas.models.Components;
import io.swagger.v3.oas.models.OpenAPI;
import io.swagger.v3.oas.models.Paths;
import io.swagger.v3.oas.models.info.Info;
import io.swagger.v3.oas.models.info.License;
import io.swagger.v3.oas.models.responses.ApiResponses;
import io.swagger.v3.oas.models.security.SecurityRequirement;
import io.swagger.v3.oas.models.security.SecurityScheme;
import io.swagger.v3.oas.models.servers.Server;
import io.swagger.v3.oas.models.tags.Tag;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.springdoc.core.customizers.OpenApiCustomizer;
import org.springdoc.core.providers.ObjectMapperProvider;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.info.BuildProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import tools.jackson.databind.json.JsonMapper;

/**
 * The API's description, {@code /v3/api-docs}: what the controllers and records do not say about themselves. The file
 * {@code openapi.yaml} at the project's root is this description; a test holds the two together.
 */
@Configuration(proxyBeanMethods = false)
class OpenApiDocument {

    private static final String DESCRIPTION = """
            Lends real loop devices of this host, and takes them back when their lease ends.

            Ask for a device (`POST /loop-devices`), use its `path`, renew its lease before `expireTime`, return it (`DELETE`).
            A device whose lease is not renewed is unmounted and detached, and the image that the agent made for it is deleted.

            * Sizes are bytes (`…Bytes`; `sizeMb` is MiB), durations seconds (`…Seconds`), times RFC 3339 in UTC.
            * JSON is read strictly: an unknown or doubled field, or a number written as text, is an error. A field that is null is as one left out.
            * Queries are read strictly too: an unknown, empty or doubled parameter is an error, and a boolean is `true` or `false`.
            * Every error is a problem document (RFC 9457). Its `type` says which: the model **Problem** lists them.
            * The ETag of a single device or lease changes when it does, not with time or renewals. Send it as `If-Match` to change only what you have seen.
            * Things belong to the name of the token that made them. A viewer looks, a user changes its own things, an operator everybody's.
            * An id that ended is 410 for 15 minutes or until 10,000 later ends, not beyond a restart, then 404. The Idempotency-Key that it was made with is forgotten with it.
            """;

    private static final String TOKEN = "token";

    /** What people read first comes first. */
    private static final List<String> TAGS = List.of("Loop devices", "Leases", "Host");

    @Bean
    OpenAPI openApi(ObjectProvider<BuildProperties> build) {
        return new OpenAPI()
                .info(new Info()
                        .title("Looplease")
                        .summary("Linux loop devices, lent over HTTP")
                        .description(DESCRIPTION)
                        .version(version(build.getIfAvailable()))
                        .license(new License().name("Apache License 2.0").identifier("Apache-2.0")))
                .servers(List.of(new Server().url("/")));
    }

    /** The release that is being worked on: a build between two releases describes the next one. */
    private static String version(@Nullable BuildProperties build) {
        String version = build == null ? null : build.getVersion();
        return version == null ? "unknown" : version.replace("-SNAPSHOT", "");
    }

    @Bean
    RecordConverter recordConverter() {
        return new RecordConverter();
    }

    @Bean
    ProblemResponses problemResponses(JsonMapper json) {
        return new ProblemResponses(json);
    }

    @Bean
    ResponseHeaders responseHeaders() {
        return new ResponseHeaders();
    }

    @Bean
    OpenApiCustomizer completeDocument(ObjectMapperProvider mappers) {
        // In a file that people compare, a sentence stays on its line.
        ((YAMLFactory) mappers.yamlMapper().getFactory()).disable(YAMLGenerator.Feature.SPLIT_LINES);
        return api -> {
            api.getComponents()
                    .addSecuritySchemes(
                            TOKEN,
                            new SecurityScheme()
                                    .type(SecurityScheme.Type.HTTP)
                                    .scheme("bearer")
                                    .description("A token of the agent, or of an identity provider that it knows."));
            api.setSecurity(List.of(new SecurityRequirement().addList(TOKEN)));
            api.getTags().sort(Comparator.comparingInt(OpenApiDocument::rank).thenComparing(Tag::getName));
            ProblemResponses.describe(api.getComponents());
            ResponseHeaders.describe(api.getComponents());
            Schemas.complete(api);
            sort(api);
        };
    }

    private static int rank(Tag tag) {
        int place = TAGS.indexOf(tag.getName());
        return place < 0 ? TAGS.size() : place;
    }

    /** What the generator found in no particular order, so that the same code always gives the same file. */
    private static void sort(OpenAPI api) {
        Paths paths = new Paths();
        paths.putAll(new TreeMap<>(api.getPaths()));
        api.setPaths(paths);
        paths.values().stream().flatMap(path -> path.readOperations().stream()).forEach(operation -> {
            ApiResponses responses = new ApiResponses();
            responses.putAll(new TreeMap<>(operation.getResponses()));
            operation.setResponses(responses);
        });
        Components components = api.getComponents();
        components.setSchemas(new TreeMap<>(components.getSchemas()));
        components.setExamples(new TreeMap<>(components.getExamples()));
        components.setHeaders(new TreeMap<>(components.getHeaders()));
    }
}
