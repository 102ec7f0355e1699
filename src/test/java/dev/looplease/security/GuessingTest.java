package dev.looplease.security;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.LoopleaseApplication;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Primary;

/** Over HTTP whoever tries out tokens is made to wait, and nobody else. Nothing waits here: what would is counted. */
class GuessingTest {

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    @TempDir
    private Path directory;

    /** No {@code @Configuration}: the agent's own scan would find that in every test. */
    static class Patient {
        final List<Duration> pauses = new CopyOnWriteArrayList<>();

        /** For which time stands still. */
        @Bean
        @Primary
        WrongTokens counted() {
            return new WrongTokens(() -> 0, pauses::add);
        }
    }

    private static int status(URI leases, String token) throws IOException, InterruptedException {
        return status(HttpRequest.newBuilder(leases)
                .header("Authorization", "Bearer " + token)
                .build());
    }

    private static int status(HttpRequest request) throws IOException, InterruptedException {
        return HTTP.send(request, BodyHandlers.discarding()).statusCode();
    }

    @Test
    void whoTriesOutTokensWaits() throws Exception {
        try (ConfigurableApplicationContext context = new SpringApplicationBuilder(
                        LoopleaseApplication.class, Patient.class)
                .run("--server.port=0", "--looplease.state-dir=" + directory)) {
            URI leases = URI.create("http://127.0.0.1:"
                    + context.getEnvironment().getRequiredProperty("local.server.port") + "/leases");
            HttpRequest open =
                    HttpRequest.newBuilder(leases.resolve("/v3/api-docs")).build();
            // The port opens before recovery is over; until then everything is 503.
            await().atMost(Duration.ofSeconds(20)).until(() -> status(open) == 200);
            List<Duration> pauses = context.getBean(Patient.class).pauses;
            String right = Files.readString(directory.resolve("token")).strip();

            for (int i = 0; i < WrongTokens.FREE; i++) {
                assertThat(status(leases, "guess-" + i)).isEqualTo(401);
            }
            assertThat(pauses).isEmpty();
            assertThat(status(leases, "one-guess-more")).isEqualTo(401);
            assertThat(pauses).hasSize(1);
            assertThat(status(leases, right)).isNotEqualTo(401);
            assertThat(pauses).hasSize(1);
        }
    }
}
