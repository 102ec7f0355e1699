package dev.looplease.acceptance;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.KernelTest;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** An agent in a locale of ASCII alone, which is also that of one without an environment. */
@KernelTest
class LocaleTest extends AgentProcessTest {

    /** The fault: 500 for everybody who listed them, because such a name is no Path in Java. */
    @Test
    void listsAStrangersDeviceWhateverItsFileIsCalled() throws IOException {
        // By a shell, as this test may have no better locale; without its file the directory can be removed.
        String device = Kernel.output("bash", "-c", """
                file=$0/$(printf 'm\\303\\274ll').img
                truncate --size=1M "$file" && losetup --find --show "$file"; rm "$file"
                """, home.toString());
        Agent agent = tracked(AgentProcess.start(home, Map.of("LC_ALL", "C"))).serving();
        String name = device.substring("/dev/".length());

        assertThat(agent.get("/loop-devices?pageSize=10000").expect(200).body())
                .contains("\"" + name + "\"", "m\u00fcll.img");
        agent.get("/loop-devices/" + name).expect(200);
        agent.get("/loop-devices/" + name + "/users").expect(200);
        agent.delete(agent.create("sizeMb", 1).expect(201).id()).expect(204);
    }
}
