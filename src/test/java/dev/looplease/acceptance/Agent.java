package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** The agent as a client sees it. */
final class Agent {

    private static final HttpClient HTTP =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final JsonMapper JSON = JsonMapper.builder().build();

    private final int port;
    private final @Nullable String token;

    /** @param token what each request carries, unless it says otherwise; null for none */
    Agent(int port, @Nullable String token) {
        this.port = port;
        this.token = token;
    }

    /** The same agent, as somebody else sees it. */
    Agent as(@Nullable String otherToken) {
        return new Agent(port, otherToken);
    }

    /** The Authorization header's value, for {@link #sendRaw}. */
    String authorization() {
        return "Bearer " + token;
    }

    String url() {
        return "http://127.0.0.1:" + port;
    }

    int port() {
        return port;
    }

    /** Sends a request.
     *
     * @param body JSON; null for none
     * @param headers names and values in turn
     */
    Answer send(String method, String path, @Nullable String body, String... headers) {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url() + path))
                .timeout(Duration.ofSeconds(60))
                .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
        if (body != null) {
            request.setHeader("Content-Type", "application/json");
        }
        if (token != null) {
            request.setHeader("Authorization", authorization());
        }
        for (int i = 0; i < headers.length; i += 2) {
            request.setHeader(headers[i], headers[i + 1]);
        }
        return send(request.build());
    }

    private static Answer send(HttpRequest request) {
        try {
            HttpResponse<String> response = HTTP.send(request, BodyHandlers.ofString());
            return new Answer(
                    request.method() + " " + request.uri().getRawPath(),
                    response.statusCode(),
                    response.headers(),
                    response.body());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Sends bytes that no HTTP client would, and returns everything that comes back. */
    String sendRaw(String request) throws IOException {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
            socket.setSoTimeout(20_000);
            socket.getOutputStream().write(request.getBytes(UTF_8));
            socket.shutdownOutput();
            return new String(socket.getInputStream().readAllBytes(), UTF_8);
        }
    }

    /** A JSON object of names and values in turn. */
    static String json(Object... fields) {
        Map<String, Object> object = new LinkedHashMap<>();
        for (int i = 0; i < fields.length; i += 2) {
            object.put((String) fields[i], fields[i + 1]);
        }
        return json(object);
    }

    static String json(Map<String, Object> object) {
        return JSON.writeValueAsString(object);
    }

    static JsonNode parse(String json) {
        return JSON.readTree(json);
    }

    static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /** A text as JSON. */
    static String quoted(String text) {
        return JSON.writeValueAsString(text);
    }

    Answer get(String path, String... headers) {
        return send("GET", path, null, headers);
    }

    /** Asks for a device of these fields. */
    Answer create(Object... fields) {
        return send("POST", "/loop-devices", json(fields));
    }

    Answer device(String ref, String... headers) {
        return get("/loop-devices/" + ref, headers);
    }

    Answer users(String ref) {
        return get("/loop-devices/" + ref + "/users");
    }

    Answer patch(String ref, Object... fields) {
        return send("PATCH", "/loop-devices/" + ref, json(fields));
    }

    Answer detach(String ref, String... headers) {
        return send("POST", "/loop-devices/" + ref + "/detach", null, headers);
    }

    Answer attach(String ref, String... headers) {
        return send("POST", "/loop-devices/" + ref + "/attach", null, headers);
    }

    Answer delete(String ref, String... headers) {
        return send("DELETE", "/loop-devices/" + ref, null, headers);
    }

    Answer lease(String id) {
        return get("/leases/" + id);
    }

    Answer renew(String leaseId, Object... fields) {
        return send("POST", "/leases/" + leaseId + "/renew", fields.length == 0 ? null : json(fields));
    }

    Answer endLease(String id, String... headers) {
        return send("DELETE", "/leases/" + id, null, headers);
    }

    /** All devices of ours. */
    List<JsonNode> managed() {
        return items("/loop-devices?managed=true&pageSize=10000");
    }

    /** All items of a list, page by page. */
    List<JsonNode> items(String path) {
        List<JsonNode> all = new ArrayList<>();
        String next = path;
        while (true) {
            Answer page = get(next).expect(200);
            page.json().path("items").forEach(all::add);
            JsonNode token = page.json().path("nextPageToken");
            if (!token.isString()) {
                return all;
            }
            next = path + (path.contains("?") ? "&" : "?") + "pageToken=" + encoded(token.asString());
        }
    }

    static String encoded(String text) {
        return URLEncoder.encode(text, UTF_8);
    }
}
