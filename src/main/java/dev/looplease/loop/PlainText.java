package dev.looplease.loop;

/** What a client wrote where it should be an id or a name: only what looks like one is repeated, in an answer or a log line. */
public final class PlainText {

    /** More than any id or name has. */
    private static final int LONGEST = 64;

    private PlainText() {}

    /** Whether it has 1 to 64 letters and digits of ASCII, dots, underscores and hyphens, and nothing else. */
    public static boolean is(String text) {
        return !text.isEmpty() && text.length() <= LONGEST && text.chars().allMatch(PlainText::isPlain);
    }

    private static boolean isPlain(int c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || "._-".indexOf(c) >= 0;
    }
}
