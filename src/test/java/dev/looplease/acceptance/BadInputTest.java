package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever is wrong with a request, it is told so in words that help, and nothing is made or changed. */
@KernelTest
@TestInstance(Lifecycle.PER_CLASS)
class BadInputTest extends HttpTest {

    private Answer device;
    private Belongings before;

    /** A file, a second name of it, a directory, a FIFO, and symbolic links that lead out of the roots and back in. */
    @BeforeAll
    void prepare() throws IOException {
        super.connect();
        Path file = userFile("file.img", 1L * MIB);
        Files.createSymbolicLink(userFiles.resolve("link.img"), file);
        Files.createSymbolicLink(userFiles.resolve("out"), Path.of("/var/tmp"));
        Files.createSymbolicLink(userFiles.resolve("inside"), Files.createDirectory(userFiles.resolve("directory")));
        Files.createSymbolicLink(userFiles.resolve("dangling"), Path.of("/var/tmp/looplease-not-there"));
        Files.createLink(userFiles.resolve("second-name.img"), userFile("first-name.img", MIB));
        Kernel.output("mkfifo", userFiles.resolve("fifo").toString());
        Files.createFile(userFiles.resolve("empty.img"));
        userFile("crooked.img", 100);
        device = created("sizeMb", 2, "labels", Map.of("a", "b"));
        before = belongings();
    }

    @Override
    void connect() {
        // Once for all: see prepare().
    }

    @AfterAll
    void giveTheDeviceBack() throws IOException {
        super.giveEverythingBack();
    }

    /** Instead of giving anything back: nothing was made, and nothing changed. */
    @AfterEach
    @Override
    void giveEverythingBack() {
        assertThat(belongings()).isEqualTo(before);
        Answer now = agent.device(device.id()).expect(200);
        for (String field : List.of("name", "diskSeq", "sizeBytes", "sectorSize", "directIo", "labels", "state")) {
            assertThat(now.field(field)).as(field).isEqualTo(device.field(field));
        }
    }

    private Answer post(String body) {
        return agent.send("POST", "/loop-devices", body);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                // Sizes
                "{'sizeMb': 0}                          | sizeMb",
                "{'sizeMb': -1}                         | sizeMb",
                "{'sizeMb': 9895604649984}              | sizeMb",
                "{'sizeMb': 9223372036854775807}        | sizeMb",
                "{'sizeBytes': 0}                       | sizeBytes",
                "{'sizeBytes': -1}                      | sizeBytes",
                "{'sizeBytes': -512}                    | sizeBytes",
                "{'sizeBytes': 1}                       | sizeBytes",
                "{'sizeBytes': 513}                     | sizeBytes",
                "{'sizeBytes': 9223372036854775296}     | sizeBytes",
                "{'sizeBytes': 9223372036854775808}     | sizeBytes",
                "{'sizeBytes': 10376293541461622784}    | sizeBytes",
                "{'sizeBytes': 1e400}                   | sizeBytes",
                "{'sizeMb': 1, 'sizeBytes': 512}        | sizeMb",
                // The mapped section
                "{'offsetBytes': -512}                  | offsetBytes",
                "{'offsetBytes': 100}                   | offsetBytes",
                "{'sizeMb': 1, 'offsetBytes': 1048576}  | offsetBytes",
                "{'sizeMb': 1, 'offsetBytes': 9223372036854775296} | offsetBytes",
                "{'sizeLimitBytes': 1}                  | sizeLimitBytes",
                "{'sizeLimitBytes': -1}                 | sizeLimitBytes",
                "{'sizeMb': 1, 'sizeLimitBytes': 1049088} | sizeLimitBytes",
                "{'sizeMb': 1, 'offsetBytes': 512, 'sizeLimitBytes': 1048576} | sizeLimitBytes",
                "{'sectorSize': 7}                      | sectorSize",
                "{'sectorSize': 2147483648}             | sectorSize",
                "{'sizeBytes': 512, 'sectorSize': 4096} | sectorSize",
                "{'sizeMb': 1, 'offsetBytes': 512, 'sectorSize': 4096} | sectorSize",
                // Names
                "{'name': '../sda'}                     | name",
                "{'name': 'loop-1'}                     | name",
                "{'name': 'loop1048576'}                | name",
                "{'name': 'loop99999999999999999999'}   | name",
                "{'name': 'loop007'}                    | name",
                "{'name': 'loop'}                       | name",
                "{'name': 'LOOP1'}                      | name",
                "{'name': '/dev/loop1'}                 | name",
                "{'name': 'loop1 '}                     | name",
                "{'name': 'loop1\\n'}                   | name",
                "{'name': 'loop\\u0661'}                | name",
                "{'name': ''}                           | name",
                // Types
                "{'sizeMb': '2'}                        | sizeMb",
                "{'sizeMb': ''}                         | sizeMb",
                "{'sizeMb': 1.9}                        | sizeMb",
                "{'sizeMb': 2.0}                        | sizeMb",
                "{'sizeMb': true}                       | sizeMb",
                "{'sizeMb': [2]}                        | sizeMb",
                "{'sizeMb': {}}                         | sizeMb",
                "{'readOnly': 1}                        | readOnly",
                "{'readOnly': 0}                        | readOnly",
                "{'readOnly': 'true'}                   | readOnly",
                "{'readOnly': ''}                       | readOnly",
                "{'name': 7}                            | name",
                "{'name': true}                         | name",
                "{'name': ['loop7']}                    | name",
                "{'imagePath': 7}                       | imagePath",
                "{'allocation': 'sparse'}               | allocation",
                "{'allocation': 'THIN'}                 | allocation",
                "{'allocation': ''}                     | allocation",
                "{'allocation': 1}                      | allocation",
                "{'directIo': true}                     | directIo",
                "{'directIo': 'ON'}                     | directIo",
                "{'onExpiry': 'KILL'}                   | onExpiry",
                "{'sectorSize': '512'}                  | sectorSize",
                "{'sectorSize': 512.5}                  | sectorSize",
                // Leases
                "{'ttlSeconds': 0}                      | ttlSeconds",
                "{'ttlSeconds': -1}                     | ttlSeconds",
                "{'ttlSeconds': 86401}                  | ttlSeconds",
                "{'ttlSeconds': 9223372036854775807}    | ttlSeconds",
                "{'ttlSeconds': '60'}                   | ttlSeconds",
                // The fault: 404, there is no lease of no name
                "{'leaseId': ''}                        | leaseId",
                // Labels
                "{'labels': {'a': null}}                | labels",
                "{'labels': {'a': 1}}                   | labels.a",
                "{'labels': {'a': true}}                | labels.a",
                "{'labels': {'a': {}}}                  | labels.a",
                "{'labels': {'a': ['x']}}               | labels.a",
                "{'labels': {'a': 'x', 'a': 'y'}}       | labels.a",
                "{'labels': ['a']}                      | labels",
                "{'labels': 'a=b'}                      | labels",
                "{'labels': ''}                         | labels",
                "{'labels': {'': 'x'}}                  | labels",
                "{'labels': {'a': 'line\\nbreak'}}      | labels",
                // Fields
                "{'sizeMB': 2}                          | sizeMB",
                "{'sizeMb': 2, 'color': 'red'}          | color",
                "{'sizeMb': 2, 'sizeMb': 2}             | sizeMb",
                "{'sizeMb': 2, 'labels': {'a': 'b'}, 'sizeMb': 2} | sizeMb",
                "{'id': 'mine'}                         | id",
                "{'sizeMb': 2, 'lease': {}}             | lease",
                // Not JSON, or not an object
                "size=2                                 | body",
                "<size>2</size>                         | body",
                "{'sizeMb': 2                           | body",
                "{'sizeMb': 2,}                         | body",
                "{'sizeMb': 2} {'sizeMb': 2}            | body",
                "{sizeMb: 2}                            | body",
                "{'sizeMb': 02}                         | body",
                "{'sizeMb': NaN}                        | body",
                "{'sizeMb': 0x2}                        | body",
                "[]                                     | body",
                "[{'sizeMb': 2}]                        | body",
                "7                                      | body",
                "'sizeMb'                               | body",
                "true                                   | body",
                "null                                   | body",
                // With reuseFile
                "{'reuseFile': true}                    | imagePath"
            })
    void namesTheFieldOfABadBody(String body, String field) {
        post(body.replace('\'', '"')).refusedField(field);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/etc",
                "/etc/looplease.img",
                "/",
                "/dev",
                "/dev/loop0",
                "relative.img",
                "./relative.img",
                "~/home.img",
                "",
                "USER/../escape.img",
                "USER/../../../etc/looplease.img",
                "USER/./dot.img",
                "USER-beside/x.img",
                "USER/out",
                "USER/out/escape.img",
                "USER/inside",
                "USER/inside/x.img",
                "USER/link.img",
                "USER/dangling",
                "USER/missing/x.img",
                "USER/file.img/x.img",
                // The fault: the slash was not noticed, and the file made, or said to be there.
                "USER/new.img/",
                "USER/file.img/",
                "USER/fifo/",
                "USER/out/",
                "USER/nul\\u0000.img",
                "USER/new\\nline.img"
            })
    void refusesAPathForANewImage(String path) {
        post("{\"sizeMb\": 2, \"imagePath\": \"" + path.replace("USER", userFiles.toString()) + "\"}")
                .refusedField("imagePath");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/etc/passwd",
                "/dev/loop0",
                "/dev/zero",
                "USER",
                "USER/directory",
                "USER/missing.img",
                "USER/file.img/",
                "USER/link.img",
                "USER/dangling",
                "USER/fifo",
                "USER/second-name.img",
                "USER/first-name.img",
                "USER/directory/../file.img",
                "USER/inside/file.img"
            })
    void refusesAPathForReuse(String path) {
        agent.create("imagePath", path.replace("USER", userFiles.toString()), "reuseFile", true)
                .refusedField("imagePath");
    }

    @Test
    void refusesPathsAndNamesThatAreTooLong() {
        agent.create("imagePath", userFiles + "/" + "x".repeat(256)).refusedField("imagePath");
        agent.create("imagePath", userFiles + "/x".repeat(3000)).refusedField("imagePath");
        agent.create("name", "loop" + "1".repeat(100_000)).refusedField("name");
    }

    @Test
    void refusesToReuseAnEmptyOrCrookedFile() {
        agent.create("imagePath", userFiles + "/empty.img", "reuseFile", true).refused(400, "invalid-request");
        agent.create("imagePath", userFiles + "/crooked.img", "reuseFile", true).refused(400, "invalid-request");
    }

    @Test
    void refusesASizeForAReusedFile() {
        String file = userFiles + "/file.img";
        agent.create("imagePath", file, "reuseFile", true, "sizeMb", 1).refusedField("sizeMb");
        agent.create("imagePath", file, "reuseFile", true, "sizeBytes", MIB).refusedField("sizeBytes");
        agent.create("imagePath", file, "reuseFile", true, "allocation", "FULL").refusedField("allocation");
    }

    @Test
    void overwritesNothing() {
        agent.create("sizeMb", 2, "imagePath", userFiles + "/file.img").refused(409, "image-exists");
        agent.create("sizeMb", 2, "imagePath", userFiles + "/fifo").refused(409, "image-exists");
    }

    @Test
    void refusesMoreThanTheDiskHas() {
        long free = agent.get("/host")
                .expect(200)
                .field("capacity")
                .path("freeBytes")
                .asLong();
        long wanted = (free / MIB + 1024) * MIB;

        Answer bytes = agent.create("sizeBytes", wanted, "allocation", "FULL").refused(507, "insufficient-storage");
        assertThat(bytes.texts("errors", "field")).containsExactly("sizeBytes");
        Answer mib = agent.create("sizeMb", wanted / MIB, "allocation", "FULL").refused(507, "insufficient-storage");
        assertThat(mib.texts("errors", "field")).containsExactly("sizeMb");
        Answer member = agent.send(
                        "POST",
                        "/leases",
                        "{\"devices\": [{\"sizeMb\": 1}, {\"sizeMb\": %d, \"allocation\": \"FULL\"}]}"
                                .formatted(wanted / MIB))
                .refused(507, "insufficient-storage");
        assertThat(member.texts("errors", "field")).containsExactly("devices[1].sizeMb");
    }

    @Test
    void refusesTooManyOrTooLongLabels() {
        Map<String, String> many = new TreeMap<>();
        for (int i = 0; i < 33; i++) {
            many.put("key" + i, "value");
        }
        agent.create("labels", many).refusedField("labels");
        agent.create("labels", Map.of("key", "x".repeat(1000))).refusedField("labels");
        agent.create("labels", Map.of("k".repeat(1000), "x")).refusedField("labels");
    }

    /** The fault guarded: what any number of leases could be given was bounded each by each, and not together. */
    @Test
    void refusesLabelsThatAreTooLongTogether() {
        Map<String, String> labels = new TreeMap<>();
        for (int i = 10; i < 26; i++) {
            labels.put("label" + i, "x".repeat(249));
        }
        agent.delete(agent.create("labels", labels).expect(201).id()).expect(204);
        labels.put("label10", "x".repeat(250));
        agent.create("labels", labels).refusedField("labels");
        agent.send("POST", "/leases", Agent.json("labels", labels)).refusedField("labels");
    }

    @Test
    void saysEverythingThatIsWrongAtOnce() {
        Answer answer = agent.create("offsetBytes", 1, "sizeLimitBytes", 1, "sectorSize", 7)
                .refused(400, "invalid-request");

        assertThat(answer.texts("errors", "field"))
                .containsExactlyInAnyOrder("offsetBytes", "sizeLimitBytes", "sectorSize");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{'ttlSeconds': 0}                                         | ttlSeconds",
                "{'ttlSeconds': 86401}                                     | ttlSeconds",
                "{'ttlSeconds': \"60\"}                                    | ttlSeconds",
                "{'maxTtlSeconds': 0}                                      | maxTtlSeconds",
                "{'permanent': true}                                       | permanent",
                "{'permanent': \"yes\"}                                    | permanent",
                "{'onExpiry': \"EXPLODE\"}                                 | onExpiry",
                "{'labels': {'a b': \"c\"}}                                | labels",
                "{'labels': {'a': null}}                                   | labels",
                "{'devices': {}}                                           | devices",
                "{'devices': [null]}                                       | devices[0]",
                "{'devices': [{'sizeMb': 1}, {'sizeMb': 0}]}               | devices[1].sizeMb",
                "{'devices': [{'sizeMb': 1, 'size': 1}]}                   | devices[0].size",
                "{'devices': [{'sizeMb': 1, 'ttlSeconds': 5}]}             | devices[0].ttlSeconds",
                "{'devices': [{'sizeMb': 1, 'leaseId': \"x\"}]}            | devices[0].leaseId",
                "{'devices': [{'sizeMb': 1}, {'imagePath': \"/etc/x\"}]}   | devices[1].imagePath",
                "{'device': []}                                            | device"
            })
    void namesTheFieldOfABadLease(String body, String field) {
        agent.send("POST", "/leases", body.replace('\'', '"')).refusedField(field);
    }

    @Test
    void namesTheRangeOfTtls() {
        Answer answer = agent.create("ttlSeconds", 86401).refusedField("ttlSeconds");

        assertThat(answer.texts("errors", "message").getFirst()).contains("1 and 86400");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'sizeBytes': 0}                      | sizeBytes",
                "{'sizeBytes': 513}                    | sizeBytes",
                "{'sizeBytes': -512}                   | sizeBytes",
                "{'sizeBytes': '4194304'}              | sizeBytes",
                "{'sizeBytes': 4194304.0}              | sizeBytes",
                "{'sizeBytes': 9223372036854775296}    | sizeBytes",
                "{'sizeBytes': 10376293541461622784}   | sizeBytes",
                "{'sizeBytes': 1048576}                | sizeBytes",
                "{'sizeMb': 4}                         | sizeMb",
                "{'allowShrink': 1}                    | allowShrink",
                "{'directIo': 'on'}                    | directIo",
                "{'sectorSize': 7}                     | sectorSize",
                "{'labels': {'a': null}}               | labels",
                "{'labels': {'a': 2}}                  | labels.a",
                "{'readOnly': true}                    | readOnly",
                "{'leaseId': ''}                       | leaseId",
                "{'labels': {}, 'labels': {}}          | labels",
                "[]                                    | body",
                "null                                  | body",
                "not JSON                              | body"
            })
    void namesTheFieldOfABadChange(String body, String field) {
        agent.send("PATCH", "/loop-devices/" + device.id(), body.replace('\'', '"'))
                .refusedField(field);
    }

    /** A line break and a header, a terminal's control sequence, and nearly a megabyte. */
    private static final List<String> HOSTILE =
            List.of("a\r\nX-Injected: yes\r\n\r\n", "\u001b[2J\u0000", "x".repeat(900_000));

    private static final String HERE = "HOSTILE";

    /** Wherever a request has text. What is refused is not repeated at length, nor told as anything but a refusal. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "POST  | /loop-devices | {'name': HOSTILE}                         | 400",
                "POST  | /loop-devices | {'imagePath': HOSTILE}                    | 400",
                "POST  | /loop-devices | {'imagePath': HOSTILE, 'reuseFile': true} | 400",
                "POST  | /loop-devices | {'leaseId': HOSTILE}                      | 404",
                "POST  | /loop-devices | {'allocation': HOSTILE}                   | 400",
                "POST  | /loop-devices | {'directIo': HOSTILE}                     | 400",
                "POST  | /loop-devices | {'onExpiry': HOSTILE}                     | 400",
                "POST  | /loop-devices | {'sizeMb': HOSTILE}                       | 400",
                "POST  | /loop-devices | {'labels': {HOSTILE: 'a'}}                | 400",
                "POST  | /loop-devices | {HOSTILE: 1}                              | 400",
                "POST  | /leases       | {'onExpiry': HOSTILE}                     | 400",
                "POST  | /leases       | {'labels': {HOSTILE: 'a'}}                | 400",
                "POST  | /leases       | {'devices': [{'name': HOSTILE}]}          | 400",
                "POST  | /leases       | {'devices': [{'imagePath': HOSTILE}]}     | 400",
                "PATCH | /loop-devices/DEVICE | {'leaseId': HOSTILE}               | 404",
                "PATCH | /loop-devices/DEVICE | {'directIo': HOSTILE}              | 400",
                "PATCH | /loop-devices/DEVICE | {'labels': {HOSTILE: 'a'}}         | 400",
                "POST  | /loop-devices/DEVICE/detach | {HOSTILE: 1}                | 400",
                "POST  | /leases/LEASE/renew  | {'ttlSeconds': HOSTILE}            | 400"
            })
    void refusesHostileText(String method, String path, String body, int status) {
        for (String text : HOSTILE) {
            Answer answer = agent.send(
                    method,
                    path.replace("DEVICE", device.id()).replace("LEASE", device.leaseId()),
                    body.replace('\'', '"').replace(HERE, Agent.quoted(text)));

            answer.refused(status, status == 404 ? "not-found" : "invalid-request");
            assertThat(answer.headers().map()).doesNotContainKey("X-Injected");
            if (text.length() > 1000) {
                assertThat(answer.body()).hasSizeLessThan(2000);
            }
        }
    }

    /** The fault: a label took half a character, and from then on every list was one that strict readers refuse. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "POST  | /loop-devices        | {'labels': {'a': 'HALF'}}               | labels.a",
                "POST  | /loop-devices        | {'labels': {'aHALF': 'b'}}              | body",
                "POST  | /loop-devices        | {'leaseId': 'xHALFx'}                   | leaseId",
                "POST  | /loop-devices        | {'name': 'HALF'}                        | name",
                "POST  | /loop-devices        | {'imagePath': '/HALF'}                  | imagePath",
                "POST  | /leases              | {'labels': {'a': 'HALF'}}               | labels.a",
                "POST  | /leases              | {'devices': [{'labels': {'a': 'HALF'}}]} | devices[0].labels.a",
                "PATCH | /loop-devices/DEVICE | {'labels': {'b': 'x', 'a': 'xHALF'}}    | labels.a",
                "PATCH | /loop-devices/DEVICE | {'leaseId': 'HALF'}                     | leaseId",
                "POST  | /loop-devices        | {'HALF': 1}                             | body",
                "POST  | /loop-devices/DEVICE/detach | {'HALF': 1}                      | body"
            })
    void refusesHalfACharacter(String method, String path, String body, String field) {
        for (String half : List.of("\\ud800", "\\udfff", "\\udc00\\ud800", "\\ud83d\\ud83d\\ude00")) {
            agent.send(
                            method,
                            path.replace("DEVICE", device.id()),
                            body.replace('\'', '"').replace("HALF", half))
                    .refusedField(field);
        }
    }

    /** What may be in a header or a query, which are shorter. */
    @Test
    void refusesHostileTextInHeadersAndQueries() {
        String large = "x".repeat(6000);
        for (String text : List.of("a\r\nb", "\u001b[2J", large)) {
            String encoded = Agent.encoded(text);
            for (String query : List.of("label=", "state=", "managed=", "pageToken=", "pageSize=")) {
                assertThat(agent.get("/loop-devices?" + query + encoded)
                                .refused(400, "invalid-request")
                                .body())
                        .hasSizeLessThan(2000);
            }
            assertThat(agent.get("/loop-devices?leaseId=" + encoded).expect(200).list("items"))
                    .isEmpty();
        }
        agent.send("POST", "/loop-devices", "{}", "Idempotency-Key", large).refusedField("Idempotency-Key");
        agent.delete(device.id(), "If-Match", large).refusedField("If-Match");
        agent.device(large).refused(404, "not-found");
        assertThat(agent.device("y" + large).body()).hasSizeLessThan(large.length() + 500);
    }

    @Test
    void needsABodyForAChange() {
        agent.send("PATCH", "/loop-devices/" + device.id(), null, "Content-Type", "application/json")
                .refusedField("body");
    }

    /** The fault: what was in it was not looked at, and whoever had sent {"force": true} was told that all was well. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'force': true}                       | force",
                "{'force': true, 'force': true}        | force",
                "{} {}                                 | body",
                "[]                                    | body",
                "7                                     | body",
                "not JSON                              | body"
            })
    void namesTheFieldOfABodyWhereNoneIsTaken(String body, String field) {
        String sent = body.replace('\'', '"');
        String path = "/loop-devices/" + device.id();

        agent.send("POST", path + "/detach", sent).refusedField(field);
        agent.send("POST", path + "/attach", sent).refusedField(field);
        agent.send("DELETE", path, sent).refusedField(field);
        agent.send("DELETE", "/leases/" + device.leaseId(), sent).refusedField(field);
        agent.send("POST", path + "/detach", sent, "Content-Type", "application/x-www-form-urlencoded")
                .refusedField(field);
        agent.send("POST", "/loop-devices/neverknown000000/attach", sent).refusedField(field);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "/loop-devices?pageSize=0        | pageSize",
                "/loop-devices?pageSize=-1       | pageSize",
                "/loop-devices?pageSize=10001    | pageSize",
                "/loop-devices?pageSize=ten      | pageSize",
                "/loop-devices?pageToken=%21%21  | pageToken",
                "/loop-devices?state=GONE        | state",
                "/loop-devices?managed=maybe     | managed",
                "/loop-devices?label=suite       | label",
                "/loop-devices?label==x          | label",
                "/leases?pageSize=0              | pageSize",
                "/loop-devices?pageToken=zzz     | pageToken",
                "/loop-devices?pageToken=MDAxNzk1Mzc3MjgwMDAwdzdmMGMybjRzOHkxdDViOQ | pageToken",
                "/leases?pageToken=%21%21        | pageToken",
                "/leases?pageToken=YTAwMDAwMDc   | pageToken",
                // The fault: what was misspelt, empty or there twice was no filter, or another one.
                "/loop-devices?PageSize=1        | PageSize",
                "/loop-devices?managed=true&nope=1 | nope",
                "/loop-devices?managed=true&managed=false | managed",
                "/loop-devices?leaseId=a&leaseId=b | leaseId",
                "/loop-devices?managed=yes       | managed",
                "/loop-devices?managed=1         | managed",
                "/loop-devices?managed=on        | managed",
                "/loop-devices?managed=TRUE      | managed",
                "/loop-devices?managed=          | managed",
                "/loop-devices?managed           | managed",
                "/loop-devices?state=            | state",
                "/loop-devices?leaseId=          | leaseId",
                "/loop-devices?pageSize=         | pageSize",
                "/loop-devices?label=            | label",
                "/loop-devices?label=a=b&Label=a=b | Label",
                "/loop-devices/loop0?nope        | nope",
                "/loop-devices/loop0/users?a&b   | a",
                "/leases?label=a=b               | label",
                "/leases?pageSize=1&pageSize=2   | pageSize",
                "/leases/neverknown000000?x=y    | x",
                "/host?x=1                       | x"
            })
    void namesTheFieldOfABadQuery(String path, String field) {
        agent.get(path).refusedField(field);
    }

    @Test
    void namesTheFieldOfABadQueryOfAChange() {
        String path = "/loop-devices/" + device.id();

        agent.send("DELETE", path + "?forced=true", null).refusedField("forced");
        agent.send("DELETE", path + "?force=yes", null).refusedField("force");
        agent.send("DELETE", path + "?force", null).refusedField("force");
        agent.send("DELETE", path + "?force=false&force=true", null).refusedField("force");
        agent.send("DELETE", "/leases/" + device.leaseId() + "?force=true", null)
                .refusedField("force");
        agent.send("POST", path + "/detach?force=true", null).refusedField("force");
        agent.send("POST", "/loop-devices?sizeMb=1", "{\"sizeMb\": 1}").refusedField("sizeMb");
        agent.send("POST", "/loop-devices?sizeMb=1", "a=b", "Content-Type", "application/x-www-form-urlencoded")
                .refusedField("sizeMb");
        agent.send("PATCH", path + "?labels=x", "{}").refusedField("labels");
        Answer known = agent.get("/loop-devices?nope=1").refusedField("nope");
        assertThat(known.texts("errors", "message").getFirst())
                .contains("label, leaseId, managed, pageSize, pageToken, state");
        assertThat(agent.get("/loop-devices?" + "x".repeat(6000)).expect(400).body())
                .hasSizeLessThan(1000);
        agent.get("/loop-devices?&managed=true&").expect(200);
        agent.get("/host?").expect(200);
    }

    @Test
    void refusesABodyOfTenMegabytes() {
        String large = "{\"labels\": {\"a\": \"" + "x".repeat(10_000_000) + "\"}}";

        agent.send("POST", "/loop-devices", large).refused(413, "content-too-large");
    }

    /** The fault: the agent closed the connection while such a client still sent, and the client never saw the 413. */
    @Test
    void aClientThatSendsTenMegabytesBeforeItListensGetsItsAnswer() throws IOException {
        String answer = agent.sendRaw(String.join(
                "\r\n",
                "POST /loop-devices HTTP/1.1",
                "Host: localhost",
                "Authorization: " + agent.authorization(),
                "Content-Type: application/json",
                "Content-Length: 10000000",
                "",
                "x".repeat(10_000_000)));

        assertThat(answer)
                .startsWith("HTTP/1.1 413")
                .contains("application/problem+json", "/problems/content-too-large");
    }

    @Test
    void refusesABodyOfTenMegabytesWhereNoneIsTaken() {
        agent.send("POST", "/loop-devices/" + device.id() + "/attach", " ".repeat(10_000_000))
                .refused(413, "content-too-large");
    }

    @Test
    void refusesABodyOfTenMegabytesInChunks() throws IOException {
        StringBuilder request = new StringBuilder(String.join(
                "\r\n",
                "POST /loop-devices HTTP/1.1",
                "Host: localhost",
                "Authorization: " + agent.authorization(),
                "Content-Type: application/json",
                "Transfer-Encoding: chunked",
                "",
                "9",
                "{\"name\":\"",
                ""));
        String chunk = "x".repeat(0x8000);
        for (int i = 0; i < 320; i++) {
            request.append("8000\r\n").append(chunk).append("\r\n");
        }
        String answer = agent.sendRaw(request + "2\r\n\"}\r\n0\r\n\r\n");

        assertThat(answer)
                .startsWith("HTTP/1.1 413")
                .contains("application/problem+json", "/problems/content-too-large");
    }

    @Test
    void refusesOtherMediaTypes() {
        agent.send("POST", "/loop-devices", "{}", "Content-Type", "text/plain").refused(415, "unsupported-media-type");
        agent.send("POST", "/loop-devices", "sizeMb=2", "Content-Type", "application/x-www-form-urlencoded")
                .refused(415, "unsupported-media-type");
        agent.send("POST", "/loop-devices", "{}", "Content-Type", "nonsense").expect(415);
        // The fault: without a boundary Tomcat could not read it, and that became a 500.
        agent.send("POST", "/loop-devices", "{}", "Content-Type", "multipart/form-data")
                .refused(415, "unsupported-media-type");
        agent.send("POST", "/loop-devices", "--x--", "Content-Type", "multipart/form-data; boundary=x")
                .refused(415, "unsupported-media-type");
        agent.get("/loop-devices", "Accept", "application/xml").refused(406, "not-acceptable");
    }

    @Test
    void refusesOtherMethods() {
        String path = "/loop-devices/" + device.id();

        assertThat(allowed("PUT", "/loop-devices")).containsExactlyInAnyOrder("GET", "HEAD", "POST", "OPTIONS");
        assertThat(allowed("DELETE", "/loop-devices")).containsExactlyInAnyOrder("GET", "HEAD", "POST", "OPTIONS");
        assertThat(allowed("PUT", path)).containsExactlyInAnyOrder("GET", "HEAD", "PATCH", "DELETE", "OPTIONS");
        assertThat(allowed("GET", path + "/detach")).containsExactlyInAnyOrder("POST", "OPTIONS");
        assertThat(allowed("PATCH", "/leases/" + device.leaseId()))
                .containsExactlyInAnyOrder("GET", "HEAD", "DELETE", "OPTIONS");
        assertThat(allowed("POST", "/actuator/health")).contains("GET", "HEAD");
    }

    private Set<String> allowed(String method, String path) {
        Answer answer = agent.send(method, path, method.equals("GET") ? null : "{}");
        return Set.of(answer.refused(405, "method-not-allowed")
                .headers()
                .firstValue("Allow")
                .orElse("")
                .split(", ?", -1));
    }

    /** The fault: Tomcat refused it before anybody had looked at the path, with what any servlet can. */
    @Test
    void refusesToTraceAndEchoesNothing() throws IOException {
        String answer = agent.sendRaw(String.join(
                "\r\n",
                "TRACE /loop-devices/" + device.id() + " HTTP/1.1",
                "Host: localhost",
                "Connection: close",
                "Authorization: " + agent.authorization(),
                "X-Secret: not to be seen",
                "",
                ""));

        assertThat(answer).startsWith("HTTP/1.1 405").doesNotContain("not to be seen");
        String allow = answer.lines()
                .filter(line -> line.startsWith("Allow:"))
                .findFirst()
                .orElseThrow();
        assertThat(allow.substring("Allow:".length()).strip().split(", ?", -1))
                .containsExactlyInAnyOrder("GET", "HEAD", "PATCH", "DELETE", "OPTIONS");
        assertThat(
                        agent.sendRaw(
                                "TRACE /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Secret: not to be seen\r\n\r\n"))
                .startsWith("HTTP/1.1 401")
                .doesNotContain("not to be seen");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/nothing",
                "/loop-devices/",
                "/loop-devices/loop0/nothing",
                "/loop-device",
                "/actuator/env",
                "/actuator/shutdown",
                "/error/x",
                "/.env",
                "/images",
                "/images/x/content",
                "/events",
                "/loop-devices/loop0/reset",
                "/loop-devices/loop0/snapshot"
            })
    void knowsNothingElse(String path) {
        assertThat(agent.get(path).refused(404, "not-found").text("detail"))
                .isEqualTo("There is nothing at this path.");
        agent.get(path, "Accept", "text/html").refused(404, "not-found");
        agent.send("POST", path, "{}").refused(404, "not-found");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/loop-devices/neverknown0000000",
                "/loop-devices/loop1048576",
                "/loop-devices/loop9999999",
                "/loop-devices/loop007",
                "/loop-devices/sda",
                "/loop-devices/%20",
                "/leases/neverknown0000000"
            })
    void findsNothingThatIsNotThere(String path) {
        agent.get(path).refused(404, "not-found");
        // Said before anything is looked up: a change, too, must not be made and then not be told.
        agent.get(path, "Accept", "text/html").refused(406, "not-acceptable");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "NONSENSE\\r\\n\\r\\n                                                  | 400",
                "GET /loop-devices HTTP/9.9\\r\\nHost: localhost\\r\\n\\r\\n                    | 505",
                "GET /loop-devices HTTP/1.1\\r\\n\\r\\n                                 | 400",
                "GET /loop-devices HTTP/1.1\\r\\nHost: a b\\r\\n\\r\\n                  | 400",
                "GET /loop-devices/%zz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                | 400",
                "GET /loop-devices?% HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                  | 400",
                "GET /leases?a=%zz HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                    | 400",
                "GET /loop-devices/%00 HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                | 400",
                "GET /loop-devices/a%2Fb HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n              | 400",
                "GET /loop-devices/a{b HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                | 400",
                "GET /loop-devices/../../etc/passwd HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n    | 400",
                "GET /loop-devices/;a=b HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n               | 400",
                "GET // HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                               | 400",
                "GET //x/y HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                            | 400",
                "POST /loop-devices HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: -1\\r\\n\\r\\n | 400",
                "POST /loop-devices HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: x\\r\\n\\r\\n  | 400",
                "FROB /loop-devices HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                   | 405",
                "TRACE /loop-devices HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n                  | 405"
            })
    void answersMalformedRequestsWithProblems(String request, int status) throws IOException {
        String answer = agent.sendRaw(request.replace("\\r\\n", "\r\n")
                .replaceFirst("(?=\r\n\r\n)", "\r\nConnection: close\r\nAuthorization: " + agent.authorization()));

        assertThat(answer).startsWith("HTTP/1.1 " + status);
        assertThat(answer).containsIgnoringCase("Content-Type: application/problem+json");
        String body = answer.substring(answer.indexOf("\r\n\r\n") + 4);
        body = body.substring(body.indexOf('{'), body.lastIndexOf('}') + 1);
        var problem = Agent.parse(body);
        assertThat(problem.path("type").asString()).startsWith("/problems/");
        assertThat(problem.path("title").asString()).isNotBlank();
        assertThat(problem.path("status").asInt()).isEqualTo(status);
        assertThat(problem.path("detail").asString()).isNotBlank().doesNotContain("Exception");
        assertThat(problem.path("instance").asString("")).as(body).startsWith("/");
    }

    @Test
    void refusesBytesThatAreNotText() throws IOException {
        String answer = agent.sendRaw(String.join(
                "\r\n",
                "POST /loop-devices HTTP/1.1",
                "Host: localhost",
                "Authorization: " + agent.authorization(),
                "Connection: close",
                "Content-Type: application/json",
                "Content-Length: 12",
                "",
                "{\"name\":\"\u0001\"}"));

        assertThat(answer).startsWith("HTTP/1.1 400").contains("application/problem+json");
    }
}
