package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.context.ApplicationContext;
import org.springframework.test.context.TestPropertySource;
import org.springframework.web.servlet.handler.AbstractUrlHandlerMapping;
import org.springframework.web.servlet.mvc.method.RequestMappingInfo;
import org.springframework.web.servlet.mvc.method.RequestMappingInfoHandlerMapping;

/**
 * Every operation that the running agent has, asked by everybody, with the exact status. The operations are what its
 * handler mappings have, so that a new one without a row here fails.
 */
@KernelTest
@TestPropertySource(properties = "spring.web.error.path=/error")
class AccessMatrixTest extends TokensTest {

    /**
     * Operation; then the statuses for no token, an unknown one, an expired one, a viewer, a user with own things, a user
     * with another's, an operator with another's. Behind a # what the request is about, where one row does not do. What
     * stands in braces is alice's device or lease.
     */
    private static final String MATRIX = """
            POST   /loop-devices                     401 401 401 403 201 201 201
            POST   /loop-devices #joining            401 401 401 403 201 403 403
            GET    /loop-devices                     401 401 401 200 200 200 200
            GET    /loop-devices/{ref}               401 401 401 200 200 200 200
            GET    /loop-devices/{ref}/users         401 401 401 200 200 200 200
            PATCH  /loop-devices/{ref}               401 401 401 403 200 403 200
            PATCH  /loop-devices/{ref} #moving       401 401 401 403 200 403 200
            POST   /loop-devices/{ref}/detach        401 401 401 403 200 403 200
            POST   /loop-devices/{ref}/attach        401 401 401 403 200 403 200
            DELETE /loop-devices/{ref}               401 401 401 403 204 403 204
            DELETE /loop-devices/{ref} #forced       401 401 401 403 204 403 204
            PATCH  /loop-devices/{ref} #by-name      401 401 401 403 428 403 428
            DELETE /loop-devices/{ref} #by-name      401 401 401 403 428 403 428
            PATCH  /loop-devices/{ref} #outdated     401 401 401 403 412 403 412
            PATCH  /loop-devices/{ref} #foreign      401 401 401 403 403 403 403
            PATCH  /loop-devices/{ref} #unknown      401 401 401 404 404 404 404
            PATCH  /loop-devices/{ref} #invalid      401 401 401 400 400 400 400
            POST   /loop-devices #invalid            401 401 401 400 400 400 400
            POST   /loop-devices #too-long           401 401 401 400 400 400 400
            GET    /loop-devices/{ref} #ended        401 401 401 410 410 410 410
            DELETE /loop-devices/{ref} #ended        401 401 401 204 204 204 204
            POST   /leases                           401 401 401 403 201 201 201
            POST   /leases #with-device              401 401 401 403 201 201 201
            POST   /leases #invalid                  401 401 401 400 400 400 400
            GET    /leases                           401 401 401 200 200 200 200
            GET    /leases/{id}                      401 401 401 200 200 200 200
            POST   /leases/{id}/renew                401 401 401 403 200 403 200
            POST   /leases/{id}/renew #unknown       401 401 401 404 404 404 404
            POST   /leases/{id}/renew #outdated      401 401 401 403 412 403 412
            DELETE /leases/{id}                      401 401 401 403 204 403 204
            GET    /host                             401 401 401 200 200 200 200
            GET    /actuator                         401 401 401 200 200 200 200
            GET    /actuator/health                  200 401 401 200 200 200 200
            GET    /actuator/health/**               401 401 401 200 200 200 200
            GET    /actuator/info                    401 401 401 200 200 200 200
            GET    /actuator/prometheus              401 401 401 200 200 200 200
            GET    /livez                            200 200 200 200 200 200 200
            GET    /readyz                           200 200 200 200 200 200 200
            GET    /v3/api-docs                      200 200 200 200 200 200 200
            GET    /v3/api-docs.yaml                 200 200 200 200 200 200 200
            GET    /v3/api-docs/swagger-config       200 200 200 200 200 200 200
            GET    /swagger-ui                       302 302 302 302 302 302 302
            GET    /swagger-ui.html                  302 302 302 302 302 302 302
            GET    /                                 302 302 302 302 302 302 302
            GET    /swagger-ui/**                    200 200 200 200 200 200 200
            GET    /webjars/**                       401 401 401 404 404 404 404
            GET    /**                               401 401 401 404 404 404 404
            ANY    /error                            401 401 401 404 404 404 404
            """;

    private static final List<@Nullable String> TOKENS = Arrays.asList(
            null, Tokens.UNKNOWN, Tokens.EXPIRED, Tokens.VIEWER, Tokens.ALICE, Tokens.BOB, Tokens.OPERATOR);
    private static final List<String> PEOPLE = List.of(
            "nobody", "an unknown token", "an expired token", "a viewer", "the owner", "another user", "an operator");

    @Autowired
    private ApplicationContext context;

    /** A line of the matrix. */
    private record Row(String method, String path, String about, List<Integer> statuses) {

        static Row parse(String line) {
            List<String> words = List.of(line.strip().split("\\s+"));
            boolean special = words.get(2).startsWith("#");
            return new Row(
                    words.get(0),
                    words.get(1),
                    special ? words.get(2) : "",
                    words.stream().skip(special ? 3 : 2).map(Integer::valueOf).toList());
        }

        String operation() {
            return method + " " + path;
        }
    }

    private static Stream<Row> rows() {
        return MATRIX.lines().map(Row::parse);
    }

    @Test
    void everyOperationHasARow() {
        Set<String> served = new TreeSet<>();
        for (RequestMappingInfoHandlerMapping mapping :
                context.getBeansOfType(RequestMappingInfoHandlerMapping.class).values()) {
            mapping.getHandlerMethods().keySet().forEach(info -> served.addAll(operations(info)));
        }
        for (AbstractUrlHandlerMapping files :
                context.getBeansOfType(AbstractUrlHandlerMapping.class).values()) {
            // Swagger UI's have patterns of their own for some of its files, with its version in it.
            files.getHandlerMap()
                    .keySet()
                    .forEach(pattern ->
                            served.add("GET " + pattern.replaceFirst("^(/swagger-ui|/webjars)/.*", "$1/**")));
        }

        Set<String> written = new TreeSet<>(rows().map(Row::operation).toList());
        assertThat(written).isEqualTo(served);
    }

    private static Set<String> operations(RequestMappingInfo info) {
        Set<String> methods = info.getMethodsCondition().getMethods().isEmpty()
                ? Set.of("ANY")
                : info.getMethodsCondition().getMethods().stream()
                        .map(Enum::name)
                        .collect(Collectors.toSet());
        return info.getPatternValues().stream()
                .flatMap(path -> methods.stream().map(method -> method + " " + path))
                .collect(Collectors.toSet());
    }

    @TestFactory
    Stream<DynamicTest> isAnsweredAsTheMatrixSays() {
        return rows().flatMap(row -> Stream.iterate(0, i -> i + 1)
                .limit(TOKENS.size())
                .map(i -> DynamicTest.dynamicTest(
                        row.operation() + " " + row.about() + " by " + PEOPLE.get(i), () -> check(row, i))));
    }

    private void check(Row row, int person) {
        Agent alice = agent.as(Tokens.ALICE);
        Answer lease = alice.send("POST", "/leases", "{}").expect(201);
        Answer device = alice.create("sizeMb", 1, "leaseId", lease.id()).expect(201);
        try {
            Answer answer = ask(row, agent.as(TOKENS.get(person)), lease, device);

            answer.expect(row.statuses().get(person));
            if (answer.status() >= 400) {
                assertThat(answer.headers().firstValue("Content-Type")).contains("application/problem+json");
            }
            assertThat(answer.headers().firstValue("WWW-Authenticate"))
                    .isEqualTo(answer.status() == 401 ? Optional.of("Bearer") : Optional.empty());
        } finally {
            agent.items("/leases")
                    .forEach(left -> agent.endLease(left.path("id").asString()));
        }
    }

    private Answer ask(Row row, Agent who, Answer lease, Answer device) {
        String id = row.path().startsWith("/leases") ? lease.id() : device.id();
        return switch (row.operation() + row.about()) {
            case "POST /loop-devices" -> who.create("sizeMb", 1);
            case "POST /loop-devices#joining" -> who.create("sizeMb", 1, "leaseId", lease.id());
            case "POST /loop-devices#invalid" -> who.create("sizeMb", 0);
            case "POST /loop-devices#too-long" -> who.create("sizeMb", 1, "ttlSeconds", 1_000_000_000);
            case "PATCH /loop-devices/{ref}" -> who.patch(id, "sizeBytes", 2 * MIB);
            case "PATCH /loop-devices/{ref}#moving" -> {
                Answer target =
                        agent.as(Tokens.ALICE).send("POST", "/leases", "{}").expect(201);
                yield who.patch(id, "leaseId", target.id());
            }
            case "PATCH /loop-devices/{ref}#by-name" -> who.patch(device.name(), "sizeBytes", 2 * MIB);
            case "PATCH /loop-devices/{ref}#outdated" ->
                who.send("PATCH", "/loop-devices/" + id, "{\"labels\": {}}", "If-Match", "\"other\"");
            case "PATCH /loop-devices/{ref}#foreign" -> who.patch(foreignName(), "sizeBytes", 2 * MIB);
            case "PATCH /loop-devices/{ref}#unknown" -> who.patch("neverknown000000", "sizeBytes", 2 * MIB);
            case "PATCH /loop-devices/{ref}#invalid" -> who.patch(id, "sizeBytes", 1);
            case "DELETE /loop-devices/{ref}#forced" -> who.send("DELETE", "/loop-devices/" + id + "?force=true", null);
            case "DELETE /loop-devices/{ref}#by-name" -> who.delete(device.name());
            case "GET /loop-devices/{ref}#ended", "DELETE /loop-devices/{ref}#ended" -> {
                agent.delete(id).expect(204);
                yield who.send(row.method(), "/loop-devices/" + id, null);
            }
            case "POST /leases" -> who.send("POST", "/leases", "{}");
            case "POST /leases#with-device" ->
                who.send("POST", "/leases", Agent.json("devices", List.of(Map.of("sizeMb", 1))));
            case "POST /leases#invalid" -> who.send("POST", "/leases", "{\"ttlSeconds\": 0}");
            case "POST /leases/{id}/renew#unknown" -> who.renew("neverknown000000");
            case "POST /leases/{id}/renew#outdated" ->
                who.send("POST", "/leases/" + id + "/renew", null, "If-Match", "\"other\"");
            case "GET /actuator/health/**" -> who.get("/actuator/health/readiness");
            case "GET /swagger-ui/**" -> who.get("/swagger-ui/swagger-ui.css");
            case "GET /webjars/**" -> who.get("/webjars/x");
            case "GET /**" -> who.get("/nothing/here");
            case "ANY /error" -> who.get("/error");
            default -> who.send(row.method(), row.path().replaceAll("\\{[a-z]+}", id), null);
        };
    }

    /** The fault: a filter, which no mapping shows, answered there before anybody was asked who they are. */
    @Test
    void noFilterAnswersBeforeItIsKnownWhoAsks() {
        for (String path : List.of("/.well-known/oauth-protected-resource", "/login", "/logout", "/oauth2/authorize")) {
            agent.as(null).get(path).refused(401, "unauthorized");
            agent.as(null).send("POST", path, "{}").refused(401, "unauthorized");
            agent.as(null).get("/leases", "Authorization", "Bearer").refused(401, "unauthorized");
            agent.as(null).get("/leases", "Authorization", "Basic cm9vdDpyb290").refused(401, "unauthorized");
        }
    }

    private @Nullable String foreign;

    private String foreignName() {
        if (foreign == null) {
            foreign = foreign(userFile("foreign.img", MIB));
        }
        return foreign;
    }
}
