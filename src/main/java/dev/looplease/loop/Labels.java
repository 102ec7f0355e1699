package dev.looplease.loop;

import java.util.Map;
import java.util.regex.Pattern;

/** Short strings that a client puts on a device or lease, for finding and for people. */
final class Labels {

    static final int MOST = 32;
    static final int LONGEST_VALUE = 255;

    /** Everything that has labels is kept in memory and in the journal, any number of times. */
    static final int MOST_CHARACTERS = 4096;

    private static final Pattern KEY = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._/-]{0,62}");

    private Labels() {}

    static void check(Map<String, String> labels, Violations violations) {
        violations.require(labels.size() <= MOST, "labels", "must be at most " + MOST + ", not " + labels.size());
        int characters = labels.entrySet().stream()
                .mapToInt(label -> label.getKey().length() + label.getValue().length())
                .sum();
        violations.require(
                characters <= MOST_CHARACTERS,
                "labels",
                "keys and values together must be at most " + MOST_CHARACTERS + " characters, not " + characters);
        labels.forEach((key, value) -> violations
                .require(
                        KEY.matcher(key).matches(),
                        "labels",
                        "every key must be 1 to 63 letters, digits, '.', '_', '/' or '-', the first a letter or digit")
                .require(
                        value.length() <= LONGEST_VALUE && value.chars().noneMatch(Character::isISOControl),
                        "labels",
                        "every value must be at most " + LONGEST_VALUE + " characters without control characters"));
    }
}
