package dev.looplease.acceptance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.acceptance.DescribedApi.Operation;
import dev.looplease.acceptance.RawClient.Header;
import dev.looplease.acceptance.RawClient.Reply;
import dev.looplease.acceptance.RawClient.Request;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Makes up requests from the API's document: right ones, which use what earlier answers named; ones with one thing wrong;
 * and nonsense. The same seed and the same answers make the same requests.
 */
final class RandomRequests {

    /** A request, and the operation that it means. */
    record Attempt(Operation operation, Request request) {}

    private enum Manner {
        RIGHT,
        /** One parameter, field or header is wrong. */
        NEARLY,
        NONSENSE
    }

    private static final int MOST_REMEMBERED = 5;

    private static final String LONG = "A".repeat(70_000);
    private static final String DEEP = "[".repeat(20_000) + "]".repeat(20_000);

    private static final List<String> NASTY_TEXTS = List.of(
            "",
            " ",
            "\0",
            "a\0b",
            "a\r\nX-Injected: yes",
            "a\nX-Injected: yes\n\nbody",
            "\u001b[31mred\u0007\b\u007f",
            "\u0085\u2028\u2029\u202e",
            "../../etc/passwd",
            "..",
            "/etc/passwd",
            "/proc/self/mem",
            "/dev/loop-control",
            "%2e%2e%2fetc",
            "%00",
            "%",
            "loop0;id",
            "$(id)",
            "--help",
            "-",
            "*",
            "\"",
            "\\",
            "W/\"1\"",
            "${jndi:ldap://127.0.0.1/x}",
            "<script>alert(1)</script>",
            "' OR 1=1 --",
            "💾💾",
            "\ud800",
            "ﷺ",
            "null",
            "true",
            "-1",
            "9".repeat(400),
            "A".repeat(300),
            LONG);

    private static final List<String> NASTY_JSON = List.of(
            "null",
            "true",
            "[]",
            "{}",
            "[[[]]]",
            "{\"a\":{\"a\":{}}}",
            "0",
            "-0",
            "-1",
            "1",
            "1.5",
            "1.0",
            "1e2",
            "511",
            "513",
            "2147483648",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "1e400",
            "1e999999999",
            "-1e-999999999",
            "9".repeat(2_000),
            "NaN",
            "Infinity",
            "01",
            "0x10",
            "'text'",
            "\"\\ud800\"",
            "\"\\u0000\"",
            "\"" + LONG + "\"",
            DEEP);

    private static final List<String> NASTY_BODIES = List.of(
            "",
            " ",
            "{",
            "}",
            "{}{}",
            "{} x",
            "[]",
            "null",
            "true",
            "\"text\"",
            "7",
            "\ufeff{}",
            "{\"a\"}",
            "{\"\":1}",
            "{'a':1}",
            "{\"sizeMb\":1,}",
            "// comment\n{}",
            "sizeMb=1",
            "<a/>",
            "---\nsizeMb: 1",
            "\0",
            DEEP,
            "{\"a\":" + DEEP + "}",
            LONG);

    private static final List<String> OTHER_METHODS =
            List.of("PUT", "PATCH", "POST", "DELETE", "GET", "TRACE", "PROPFIND", "get", "CONNECT");

    private final DescribedApi api;
    private final Random random;
    private final List<Header> always;

    /** What may stand for a parameter or field of this name, and is likely to exist. */
    private final Map<String, List<String>> known = new HashMap<>();

    /** @param always headers of every request */
    RandomRequests(DescribedApi api, Random random, List<Header> always) {
        this.api = api;
        this.random = random;
        this.always = always;
    }

    /** Something to use where a parameter or field of this name is wanted. */
    void know(String name, String value) {
        known.computeIfAbsent(name, any -> new ArrayList<>()).add(value);
    }

    /** The same, but only of late: few, so that most of them still live. */
    private void remember(String name, String value) {
        List<String> values = known.computeIfAbsent(name, any -> new ArrayList<>());
        if (values.size() < MOST_REMEMBERED) {
            values.add(value);
        } else {
            values.set(random.nextInt(values.size()), value);
        }
    }

    /** Remembers what an answer names. */
    void learn(Reply reply) {
        reply.header("ETag").ifPresent(etag -> {
            remember("If-Match", etag);
            remember("If-None-Match", etag);
        });
        if (reply.status() == 201) {
            JsonNode made = Agent.parse(reply.body());
            boolean device = made.has("lease");
            remember(device ? "ref" : "id", made.path("id").asString());
            if (device) {
                remember("ref", made.path("name").asString());
                remember("id", made.at("/lease/id").asString());
            } else {
                remember("leaseId", made.path("id").asString());
            }
        } else if (reply.status() == 200 && reply.mediaType().equals("application/json")) {
            JsonNode token = Agent.parse(reply.body()).path("nextPageToken");
            if (token.isString()) {
                remember("pageToken", token.asString());
            }
        }
    }

    Attempt next() {
        Operation operation = pick(api.operations());
        Manner manner = pick(List.of(Manner.RIGHT, Manner.RIGHT, Manner.NEARLY, Manner.NEARLY, Manner.NONSENSE));
        List<JsonNode> parameters = api.parameters(operation);
        boolean hasBody = operation.description().has("requestBody");
        // Which of the parameters, or the body, is the wrong one; the number after them stands for the headers.
        int wrong = random.nextInt(parameters.size() + (hasBody ? 2 : 1));
        String path = operation.path();
        List<String> query = new ArrayList<>();
        List<Header> headers = new ArrayList<>(always);
        for (int i = 0; i < parameters.size(); i++) {
            JsonNode parameter = parameters.get(i);
            String name = parameter.path("name").asString();
            String in = parameter.path("in").asString();
            boolean broken = manner == Manner.NONSENSE ? random.nextBoolean() : manner == Manner.NEARLY && i == wrong;
            if (!in.equals("path") && !broken && chance(in.equals("header") ? 85 : 50)) {
                continue;
            }
            String value = broken ? nastyText() : text(name, api.resolve(parameter.path("schema")));
            switch (in) {
                case "path" -> path = path.replace("{" + name + "}", broken ? encoded(value) : percent(value));
                case "query" -> query.add(percent(name) + "=" + (broken ? encoded(value) : percent(value)));
                default -> headers.add(new Header(name, inHeader(value)));
            }
        }
        @Nullable String body = null;
        if (hasBody && !chance(10)) {
            boolean broken = manner == Manner.NONSENSE || (manner == Manner.NEARLY && wrong == parameters.size());
            body = body(operation, manner, broken, headers);
        } else if (!hasBody && manner == Manner.NONSENSE && random.nextBoolean()) {
            headers.add(new Header("Content-Type", "application/json"));
            body = nastyBody();
        }
        if (manner == Manner.NONSENSE || (manner == Manner.NEARLY && wrong == parameters.size() + (hasBody ? 1 : 0))) {
            spoil(headers);
        }
        String method = manner == Manner.NONSENSE && chance(5) ? pick(OTHER_METHODS) : operation.method();
        if (manner == Manner.NONSENSE && chance(30)) {
            query.add(encoded(nastyText()) + "=" + encoded(nastyText()));
        }
        String target = path + (query.isEmpty() ? "" : "?" + String.join("&", query));
        return new Attempt(operation, new Request(method, target, headers, body));
    }

    private String body(Operation operation, Manner manner, boolean broken, List<Header> headers) {
        JsonNode content =
                api.resolve(operation.description().path("requestBody")).path("content");
        String mediaType = pick(List.copyOf(content.propertyNames()));
        headers.add(new Header("Content-Type", mediaType));
        if (!mediaType.endsWith("json")) {
            byte[] bytes = new byte[random.nextInt(4) * 512];
            random.nextBytes(bytes);
            return new String(bytes, ISO_8859_1);
        }
        if (broken && manner == Manner.NONSENSE && random.nextBoolean()) {
            return nastyBody();
        }
        JsonNode schema = api.resolve(content.path(mediaType).path("schema"));
        List<String> members = members(schema);
        if (broken) {
            breakOne(schema, members);
        }
        return asBytes("{" + String.join(",", members) + "}");
    }

    private void breakOne(JsonNode schema, List<String> members) {
        List<String> names = List.copyOf(schema.path("properties").propertyNames());
        switch (random.nextInt(5)) {
            case 0 -> members.add(quoted(nastyText()) + ":" + nastyJson());
            case 1 -> {
                // A name twice.
                String name = quoted(pick(names));
                members.add(name + ":" + nastyJson());
                members.add(name + ":" + nastyJson());
            }
            default -> {
                String name = quoted(pick(names));
                members.removeIf(member -> member.startsWith(name + ":"));
                members.add(name + ":" + (random.nextBoolean() ? nastyJson() : quoted(nastyText())));
            }
        }
    }

    private List<String> members(JsonNode schema) {
        return schema.path("properties").properties().stream()
                .filter(property -> chance(15))
                .map(property -> quoted(property.getKey()) + ":" + json(property.getKey(), property.getValue()))
                .collect(Collectors.toCollection(ArrayList::new));
    }

    /** A value as JSON that the schema allows. */
    private String json(String name, JsonNode reference) {
        JsonNode schema = api.resolve(reference);
        List<String> values = known.get(name);
        String type = type(schema);
        if (type.equals("string") || schema.has("enum")) {
            return quoted(text(name, schema));
        }
        if (values != null && !chance(10)) {
            return pick(values);
        }
        return switch (type) {
            case "integer", "number" -> Long.toString(number(schema));
            case "boolean" -> Boolean.toString(random.nextBoolean());
            case "array" -> {
                List<String> items = new ArrayList<>();
                for (int left = random.nextInt(3); left > 0; left--) {
                    items.add(json(name, schema.path("items")));
                }
                yield "[" + String.join(",", items) + "]";
            }
            case "object" ->
                schema.has("properties")
                        ? "{" + String.join(",", members(schema)) + "}"
                        : "{\"suite\":\"fuzz\",\"run\":" + quoted(word()) + "}";
            default -> "null";
        };
    }

    /** A value as text that the schema allows. */
    private String text(String name, JsonNode schema) {
        List<String> values = known.get(name);
        if (values != null && !chance(10)) {
            return pick(values);
        }
        List<String> allowed = new ArrayList<>();
        schema.path("enum").forEach(value -> allowed.add(value.asString("null")));
        allowed.remove("null");
        if (!allowed.isEmpty()) {
            return pick(allowed);
        }
        return switch (type(schema)) {
            case "integer", "number" -> Long.toString(number(schema));
            case "boolean" -> Boolean.toString(random.nextBoolean());
            default -> word();
        };
    }

    /** Of several types, the first that is not null. */
    private static String type(JsonNode schema) {
        JsonNode type = schema.path("type");
        if (type.isArray()) {
            for (JsonNode one : type) {
                if (!one.asString().equals("null")) {
                    return one.asString();
                }
            }
        }
        return type.asString("");
    }

    private long number(JsonNode schema) {
        long step = schema.path("multipleOf").asLong(1);
        long least = schema.path("minimum").asLong(0);
        return Math.min(schema.path("maximum").asLong(Long.MAX_VALUE), least + step * random.nextInt(9));
    }

    private String word() {
        return random.ints(1 + random.nextInt(12), 'a', 'z' + 1)
                .mapToObj(Character::toString)
                .collect(Collectors.joining());
    }

    private String nastyText() {
        return chance(15) ? anything(1 + random.nextInt(20)) : pick(NASTY_TEXTS);
    }

    private String anything(int length) {
        return random.ints(length, 0, Character.MIN_SURROGATE)
                .mapToObj(Character::toString)
                .collect(Collectors.joining());
    }

    private String nastyJson() {
        return pick(NASTY_JSON);
    }

    private String nastyBody() {
        if (chance(20)) {
            byte[] bytes = new byte[random.nextInt(100)];
            random.nextBytes(bytes);
            return new String(bytes, ISO_8859_1);
        }
        return asBytes(pick(NASTY_BODIES));
    }

    /** Adds a header that nobody needs, or puts a strange one in the place of a good one. */
    private void spoil(List<Header> headers) {
        Header strange = switch (random.nextInt(16)) {
            case 0 -> new Header("Accept", pick(List.of("text/plain", "*/*;q=0", "nonsense", "", "a/b/c")));
            case 1 ->
                new Header(
                        "Content-Type",
                        pick(List.of("text/plain", "application/json;charset=utf-7", "json", "", "*/*")));
            case 2 -> new Header("Content-Encoding", pick(List.of("gzip", "br", "identity", "x")));
            case 3 -> new Header("Origin", pick(List.of("http://evil.example", "null", "", "\u0001")));
            case 4 -> new Header("Sec-Fetch-Site", pick(List.of("cross-site", "same-site", "none", "x")));
            case 5 -> new Header("Host", pick(List.of("evil.example", "", "a b", "[::1", "127.0.0.1:99999")));
            case 6 -> new Header("Expect", "nonsense");
            case 7 -> new Header("Range", "bytes=0-" + Long.MAX_VALUE);
            case 8 -> new Header("X-Forwarded-For", inHeader(nastyText()));
            case 9 -> new Header("X-HTTP-Method-Override", "DELETE");
            case 10 -> new Header("Cookie", inHeader(nastyText()));
            case 11 -> new Header("Accept-Language", inHeader(nastyText()));
            case 12 -> new Header("If-None-Match", inHeader(nastyText()));
            case 13 -> new Header(inHeader(nastyText()).replace(":", ""), "value");
            case 14 -> new Header("If-Modified-Since", inHeader(nastyText()));
            default -> new Header("X-Large", "x".repeat(random.nextInt(20_000)));
        };
        headers.removeIf(header -> header.name().equalsIgnoreCase(strange.name()));
        headers.add(strange);
    }

    /** As text in a header: on one line, because two lines would be two headers. */
    private static String inHeader(String text) {
        String line = text.replace('\r', ' ').replace('\n', ' ');
        return asBytes(line);
    }

    /** UTF-8, a char a byte. */
    private static String asBytes(String text) {
        return new String(text.getBytes(UTF_8), ISO_8859_1);
    }

    /** In a URL, sometimes as no client should put it. */
    private String encoded(String text) {
        if (!chance(20)) {
            return percent(text);
        }
        return inHeader(text).replace(' ', '+');
    }

    private static String percent(String text) {
        return Agent.encoded(text).replace("+", "%20");
    }

    private static String quoted(String text) {
        return Agent.quoted(text);
    }

    private boolean chance(int percent) {
        return random.nextInt(100) < percent;
    }

    private <T> T pick(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }
}
