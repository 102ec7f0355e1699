package dev.looplease;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The house: arrows point down, and rooms on one floor do not know each other. Asked of the compiled classes, by the
 * JDK's own jdeps: what an import hides (a fully qualified name, a type that is only inferred) shows there.
 */
class ArchitectureTest {

    private static final String HOUSE = "dev.looplease";

    private static final int ROOF = 4;
    private static final int TOP = 3;
    private static final int MIDDLE = 2;
    private static final int GROUND = 1;
    private static final int BASEMENT = 0;

    /** Every room and the floor it is on. A package that is missing here is a fault: it has no place yet. */
    private static final Map<String, Integer> FLOORS = Map.of(
            HOUSE,
            ROOF,
            HOUSE + ".api",
            TOP,
            HOUSE + ".ops",
            TOP,
            HOUSE + ".security",
            TOP,
            HOUSE + ".loop",
            MIDDLE,
            HOUSE + ".losetup",
            GROUND,
            HOUSE + ".usage",
            GROUND,
            HOUSE + ".image",
            GROUND,
            HOUSE + ".journal",
            GROUND,
            HOUSE + ".posix",
            BASEMENT);

    /** What the ground and the basement may use beside the rooms below them; the one JSON library reads losetup's. */
    private static final List<String> GROUND_USES = List.of("java", "org.jspecify", "org.slf4j", "tools.jackson");

    /** What a room below the top may not know: that anybody asks over HTTP. */
    private static final List<String> HTTP = List.of("org.springframework.web", "org.springframework.http", "jakarta");

    private static List<Arrow> arrows = List.of();

    /** One package uses another. */
    private record Arrow(String from, String to) {

        /** Reads a line of {@code jdeps -verbose:package}: package, arrow, package, and where that one was found. */
        static Optional<Arrow> parse(String line) {
            String[] columns = line.strip().split("\\s+", 4);
            // Summary lines, such as "classes -> java.base", are not indented and name no package of ours.
            return columns.length == 4 && columns[1].equals("->") && isIn(columns[0], HOUSE)
                    ? Optional.of(new Arrow(columns[0], columns[2]))
                    : Optional.empty();
        }

        /** Why it may not be; empty when it may. */
        Optional<String> complaint() {
            Integer here = FLOORS.get(from);
            if (here == null) {
                return Optional.of(from + " has no floor: give it one here and in docs/design.md");
            }
            if (isIn(to, HOUSE)) {
                Integer there = FLOORS.get(to);
                return there != null && there < here ? Optional.empty() : Optional.of(this + " does not point down");
            }
            if (here <= GROUND && GROUND_USES.stream().noneMatch(allowed -> isIn(to, allowed))) {
                return Optional.of(this + ": the ground uses only " + GROUND_USES);
            }
            if (here < TOP && HTTP.stream().anyMatch(http -> isIn(to, http))) {
                return Optional.of(this + ": only the top floor knows HTTP");
            }
            return Optional.empty();
        }

        @Override
        public String toString() {
            return from + " -> " + to;
        }
    }

    private static boolean isIn(String packageName, String root) {
        return packageName.equals(root) || packageName.startsWith(root + ".");
    }

    @BeforeAll
    static void ask() throws URISyntaxException {
        Path classes = Path.of(LoopleaseApplication.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        ToolProvider jdeps = ToolProvider.findFirst("jdeps").orElseThrow();
        int exit = jdeps.run(new PrintWriter(out), new PrintWriter(err), "-verbose:package", classes.toString());
        assertThat(exit).as("jdeps: %s%s", out, err).isZero();
        arrows = out.toString()
                .lines()
                .flatMap(line -> Arrow.parse(line).stream())
                .toList();
    }

    @Test
    void arrowsPointDown() {
        assertThat(arrows).isNotEmpty();
        assertThat(arrows.stream().flatMap(arrow -> arrow.complaint().stream())).isEmpty();
    }

    /** Otherwise an output that jdeps prints in another way would pass as a house without arrows. */
    @Test
    void theArrowsThatMustBeThereAreSeen() {
        assertThat(arrows)
                .contains(
                        new Arrow(HOUSE, HOUSE + ".loop"),
                        new Arrow(HOUSE + ".api", HOUSE + ".loop"),
                        new Arrow(HOUSE + ".ops", HOUSE + ".loop"),
                        new Arrow(HOUSE + ".security", HOUSE + ".loop"),
                        new Arrow(HOUSE + ".loop", HOUSE + ".losetup"),
                        new Arrow(HOUSE + ".loop", HOUSE + ".image"),
                        new Arrow(HOUSE + ".loop", HOUSE + ".usage"),
                        new Arrow(HOUSE + ".api", "org.springframework.web.bind.annotation"));
        assertThat(arrows.stream().map(Arrow::from)).containsAll(FLOORS.keySet());
    }

    @ParameterizedTest
    @CsvSource({
        "losetup, dev.looplease.loop", // up
        "posix, dev.looplease.journal",
        "loop, dev.looplease.api",
        "api, dev.looplease",
        "usage, dev.looplease.losetup", // sideways
        "ops, dev.looplease.api",
        "security, dev.looplease.api",
        "loop, dev.looplease.attic", // no place in the house
        "attic, java.util",
        "image, org.springframework.util",
        "posix, org.springframework.core",
        "loop, org.springframework.web.server",
        "loop, jakarta.servlet.http",
    })
    void anArrowThatMayNotBeIsRefused(String room, String to) {
        assertThat(new Arrow(HOUSE + "." + room, to).complaint()).isPresent();
    }

    @ParameterizedTest
    @CsvSource({
        "api, dev.looplease.losetup",
        "loop, dev.looplease.posix",
        "losetup, tools.jackson.databind",
        "journal, java.nio.file",
        "api, org.springframework.web.bind.annotation",
    })
    void anArrowThatMayBeIsNot(String room, String to) {
        assertThat(new Arrow(HOUSE + "." + room, to).complaint()).isEmpty();
    }
}
