package dev.looplease.usage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.looplease.usage.Census.Dweller;
import java.util.List;
import org.junit.jupiter.api.Test;

class CensusTest {

    /**
     * Guards against mounts that are seen and never ended: process 1, whose links a container's agent may not read, stood
     * for the host's namespace because it comes first, although others live there who could have been followed.
     */
    @Test
    void whoCannotBeFollowedStandsForANamespaceOnlyWhenNobodyElseCan() {
        List<Dweller> own = List.of(new Dweller(4711, "mnt:[2]", "/"));
        List<Dweller> one = List.of(Dweller.guarded(1));
        List<Dweller> host = List.of(new Dweller(300, "mnt:[1]", "/"));

        assertThat(Census.guardedLast(List.of(own, one, host))).containsExactly(own, host, one);
    }
}
