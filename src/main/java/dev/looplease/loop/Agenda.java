package dev.looplease.loop;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * What is to be looked at when: at most one reminder for each subject. A reminder is no order: whoever takes it looks at
 * the thing itself, so that a renewal need not find and move the reminder of its lease.
 */
final class Agenda {

    /** The kinds of reminder. */
    enum Kind {
        LEASE,
        RELEASE,
        COMPARISON
    }

    /** What a reminder is about. */
    record Subject(Kind kind, String id) {}

    private record Entry(long at, long order, Subject subject) {}

    private final NavigableSet<Entry> entries =
            new TreeSet<>(Comparator.comparingLong(Entry::at).thenComparingLong(Entry::order));
    private final Map<Subject, Entry> bySubject = new HashMap<>();
    private long order;

    /**
     * Notes a reminder in place of the subject's last one.
     *
     * @param at in the ticker's nanoseconds; {@link Lease#NEVER} notes none
     */
    synchronized void put(long at, Subject subject) {
        cancel(subject);
        if (at != Lease.NEVER) {
            Entry entry = new Entry(at, order++, subject);
            entries.add(entry);
            bySubject.put(subject, entry);
        }
    }

    /**
     * Notes a reminder, unless the subject has an earlier one. Two who change the same lease at once may come here in
     * another order than they changed it; what was noted too early only makes somebody look once more.
     */
    synchronized void putNoLater(long at, Subject subject) {
        Entry known = bySubject.get(subject);
        if (known == null || at < known.at()) {
            put(at, subject);
        }
    }

    synchronized void cancel(Subject subject) {
        Entry entry = bySubject.remove(subject);
        if (entry != null) {
            entries.remove(entry);
        }
    }

    /** Takes out what is due at {@code now}, the earliest first. */
    synchronized List<Subject> takeDue(long now) {
        List<Subject> due = new ArrayList<>();
        while (!entries.isEmpty() && entries.first().at() <= now) {
            Subject subject = entries.removeFirst().subject();
            bySubject.remove(subject);
            due.add(subject);
        }
        return due;
    }

    /** When the next reminder is due; {@link Lease#NEVER} when there is none. */
    synchronized long next() {
        return entries.isEmpty() ? Lease.NEVER : entries.first().at();
    }
}
