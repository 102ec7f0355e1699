package dev.looplease.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.looplease.LoopleaseApplication;
import dev.looplease.loop.LoopException;
import io.swagger.v3.core.util.Yaml31;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.boot.SpringApplication;
import org.springframework.context.ConfigurableApplicationContext;
import org.yaml.snakeyaml.Yaml;

/** The description that the agent serves, and the file in which clients find it. Needs neither root nor loop devices. */
class OpenApiContractTest {

    private static final Path FILE = Path.of("openapi.yaml");
    private static final String WRITE = "looplease.openapi.write";

    @TempDir
    private static Path stateDirectory;

    private static ConfigurableApplicationContext agent;
    private static URI root;
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    @BeforeAll
    static void start() {
        agent = SpringApplication.run(
                LoopleaseApplication.class, "--server.port=0", "--looplease.state-dir=" + stateDirectory);
        root = URI.create("http://127.0.0.1:" + agent.getEnvironment().getRequiredProperty("local.server.port"));
        // The port opens before recovery is over; until then everything is 503.
        await().atMost(Duration.ofSeconds(20))
                .until(() -> answer("/v3/api-docs").statusCode() == 200);
    }

    private static HttpResponse<String> answer(String path, String... headers)
            throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(root.resolve(path));
        return HTTP.send((headers.length == 0 ? request : request.headers(headers)).build(), BodyHandlers.ofString());
    }

    @AfterAll
    static void stop() {
        agent.close();
    }

    @Test
    void theFileIsWhatIsServed() throws Exception {
        String served = get("/v3/api-docs.yaml", "Accept", "*/*");
        assertThat(served)
                .as("without build-info.properties, as after an interrupted build: mvn clean")
                .doesNotContain("version: unknown");
        if (Boolean.getBoolean(WRITE)) {
            Files.writeString(FILE, served);
        }
        assertThat(differences(Files.readString(FILE), served))
                .as("openapi.yaml; if the change is meant: mvn test -Dtest=OpenApiContractTest -D" + WRITE + "=true")
                .isEmpty();
    }

    /** A time without quotes is a text for us, and for other readers of YAML a time, as which JSON has none. */
    @Test
    void itReadsTheSameByTheRulesOfYaml11() throws Exception {
        Object file = new Yaml().load(Files.readString(FILE));

        assertThat(differences(new ObjectMapper().writeValueAsString(file), get("/v3/api-docs", "Accept", "*/*")))
                .isEmpty();
    }

    @Test
    void itIsTheSameForEveryClient() throws Exception {
        String first = get("/v3/api-docs.yaml", "Accept-Language", "en");

        assertThat(get("/v3/api-docs.yaml", "Accept-Language", "de-DE")).isEqualTo(first);
        assertThat(get("/v3/api-docs.yaml", "X-Forwarded-Host", "example.org")).isEqualTo(first);
    }

    @Test
    void everyFailureIsInTheCatalogue() {
        assertThat(ProblemCatalogue.all().<Class<?>>map(ProblemCatalogue.Entry::failure))
                .contains(LoopException.class.getPermittedSubclasses());
    }

    @ParameterizedTest
    @ValueSource(strings = {"/", "/swagger-ui", "/swagger-ui.html"})
    void peopleFindTheirWayToSwaggerUi(String path) throws Exception {
        HttpClient browser = HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.NORMAL)
                .build();

        var page = browser.send(HttpRequest.newBuilder(root.resolve(path)).build(), BodyHandlers.ofString());

        assertThat(page.statusCode()).isEqualTo(200);
        assertThat(page.body()).contains("swagger-ui-bundle.js");
    }

    /** The description's YAML mapper was Spring's for requests too: it took doubled fields, and "8" for a number. */
    @Test
    void yamlIsNotTakenForJson() throws Exception {
        var answer = post("application/yaml", "sizeMb: \"8\"", "application/json");

        assertThat(answer.statusCode()).isEqualTo(415);
    }

    /** An answer that the client does not accept was refused after the device had been made. */
    @Test
    void whatCannotBeAnsweredIsNotDone() throws Exception {
        var answer = post("application/json", "{}", "text/plain");

        assertThat(answer.statusCode()).isEqualTo(406);
        assertThat(answer.headers().firstValue("Content-Type")).hasValue("application/problem+json");
        assertThat(answer.headers().firstValue("Location")).isEmpty();
    }

    private static HttpResponse<String> post(String contentType, String body, String accept)
            throws IOException, InterruptedException {
        return HTTP.send(
                HttpRequest.newBuilder(root.resolve("/loop-devices"))
                        .header("Content-Type", contentType)
                        .header("Accept", accept)
                        .header(
                                "Authorization",
                                "Bearer "
                                        + Files.readString(stateDirectory.resolve("token"))
                                                .strip())
                        .POST(BodyPublishers.ofString(body))
                        .build(),
                BodyHandlers.ofString());
    }

    private static String get(String path, String header, String value) throws IOException, InterruptedException {
        var answer = answer(path, header, value);
        assertThat(answer.statusCode()).as(path).isEqualTo(200);
        return answer.body();
    }

    /** Where two YAML documents differ, and how. */
    private static List<String> differences(String file, String served) throws IOException {
        Map<String, String> left = leaves(file);
        Map<String, String> right = leaves(served);
        Set<String> places = new TreeSet<>(left.keySet());
        places.addAll(right.keySet());
        return places.stream()
                .filter(place -> !Objects.equals(left.get(place), right.get(place)))
                .map(place -> place + ": " + left.getOrDefault(place, "nothing") + " in the file, "
                        + right.getOrDefault(place, "nothing") + " is served")
                .toList();
    }

    private static Map<String, String> leaves(String yaml) throws IOException {
        Map<String, String> leaves = new TreeMap<>();
        collect("", Yaml31.mapper().readTree(yaml), leaves);
        return leaves;
    }

    private static void collect(String path, JsonNode node, Map<String, String> leaves) {
        if (node.isValueNode() || node.isEmpty()) {
            leaves.put(path, node.toString());
        } else if (node.isArray()) {
            for (int i = 0; i < node.size(); i++) {
                collect(path + "/" + i, node.get(i), leaves);
            }
        } else {
            node.properties().forEach(field -> collect(path + "/" + field.getKey(), field.getValue(), leaves));
        }
    }
}
