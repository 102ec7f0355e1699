package dev.looplease.loop;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** What is looked at when. */
class AgendaTest {

    private static final Agenda.Subject ONE = new Agenda.Subject(Agenda.Kind.LEASE, "one");
    private static final Agenda.Subject TWO = new Agenda.Subject(Agenda.Kind.LEASE, "two");

    private final Agenda agenda = new Agenda();

    @Test
    void givesOutWhatIsDueTheEarliestFirstAndOnce() {
        agenda.put(20, ONE);
        agenda.put(10, TWO);

        assertThat(agenda.next()).isEqualTo(10);
        assertThat(agenda.takeDue(9)).isEmpty();
        assertThat(agenda.takeDue(20)).containsExactly(TWO, ONE);
        assertThat(agenda.takeDue(100)).isEmpty();
        assertThat(agenda.next()).isEqualTo(Lease.NEVER);
    }

    @Test
    void keepsOneReminderForEachSubjectTheLastOneNoted() {
        agenda.put(10, ONE);
        agenda.put(30, ONE);

        assertThat(agenda.takeDue(10)).isEmpty();
        assertThat(agenda.takeDue(30)).containsExactly(ONE);
    }

    /** A renewal to a short ttl whose reminder came first was forgotten when that of a longer one came after it. */
    @Test
    void keepsTheEarlierOfTwoThatCameAtOnce() {
        agenda.putNoLater(10, ONE);
        agenda.putNoLater(30, ONE);
        assertThat(agenda.next()).isEqualTo(10);

        agenda.putNoLater(5, ONE);
        assertThat(agenda.takeDue(5)).containsExactly(ONE);
        assertThat(agenda.takeDue(100)).isEmpty();
    }

    @Test
    void forgetsWhatIsCancelledAndNotesNothingForNever() {
        agenda.put(10, ONE);
        agenda.cancel(ONE);
        agenda.put(10, TWO);
        agenda.put(Lease.NEVER, TWO);

        assertThat(agenda.takeDue(Lease.NEVER)).isEmpty();
    }
}
