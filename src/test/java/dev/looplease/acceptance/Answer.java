package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import java.net.URI;
import java.net.http.HttpHeaders;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.StreamSupport;
import tools.jackson.databind.JsonNode;

/** What the agent answered, and what a test expects of it. */
record Answer(String request, int status, HttpHeaders headers, String body) {

    /** The answer itself, if it has this status. */
    Answer expect(int wanted) {
        assertThat(status).as("%s answered %s", request, body).isEqualTo(wanted);
        return this;
    }

    /** The answer itself, if it is a complete problem document of this status and type. */
    Answer refused(int wanted, String type) {
        expect(wanted);
        assertThat(headers.firstValue("Content-Type")).as(request).contains("application/problem+json");
        assertThat(text("type")).as(request).isEqualTo("/problems/" + type);
        assertThat(text("title")).as(request).isNotBlank();
        assertThat(number("status")).as(request).isEqualTo(wanted);
        assertThat(text("detail"))
                .as(request)
                .isNotBlank()
                .doesNotContain("Exception", "dev.looplease", "springframework");
        assertThat(URI.create(text("instance")).getRawPath())
                .as(request)
                .isEqualTo(request.substring(request.indexOf(' ') + 1));
        return this;
    }

    /** A refusal as invalid that names this field, and only this one. */
    Answer refusedField(String field) {
        refused(400, "invalid-request");
        assertThat(list("errors"))
                .as("%s answered %s", request, body)
                .isNotEmpty()
                .allSatisfy(error -> {
                    assertThat(error.path("field").asString()).isEqualTo(field);
                    assertThat(error.path("message").asString()).isNotBlank();
                });
        return this;
    }

    JsonNode json() {
        return Agent.parse(body);
    }

    JsonNode field(String name) {
        return json().path(name);
    }

    String text(String name) {
        JsonNode value = field(name);
        assertThat(value.isString()).as("%s of %s", name, body).isTrue();
        return value.asString();
    }

    long number(String name) {
        JsonNode value = field(name);
        assertThat(value.isIntegralNumber()).as("%s of %s", name, body).isTrue();
        return value.asLong();
    }

    boolean flag(String name) {
        JsonNode value = field(name);
        assertThat(value.isBoolean()).as("%s of %s", name, body).isTrue();
        return value.asBoolean();
    }

    List<JsonNode> list(String name) {
        return StreamSupport.stream(field(name).spliterator(), false).toList();
    }

    /** The texts of one field of each item of a list. */
    List<String> texts(String list, String name) {
        return list(list).stream().map(item -> item.path(name).asString()).toList();
    }

    String etag() {
        return headers.firstValue("ETag").orElseThrow();
    }

    // Of a device

    String id() {
        return text("id");
    }

    String name() {
        return text("name");
    }

    String node() {
        return text("path");
    }

    Path image() {
        return Path.of(text("backingFile"));
    }

    String leaseId() {
        return field("lease").path("id").asString();
    }
}
