package dev.looplease.usage;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.List;
import java.util.regex.Pattern;

/**
 * A swap area, a line of {@code /proc/swaps}.
 *
 * @param rawPath the path it was added by, each byte a char
 * @param partition whether it is a block device; otherwise it is a file
 */
record Swap(String rawPath, boolean partition) {

    private static final Pattern BLANKS = Pattern.compile("[ \t]+");

    static List<Swap> parseAll(byte[] swaps) {
        return new String(swaps, ISO_8859_1)
                .lines()
                .skip(1) // the headings
                .map(BLANKS::split)
                .map(fields ->
                        new Swap(new String(Octal.unescape(fields[0]), ISO_8859_1), fields[1].equals("partition")))
                .toList();
    }

    byte[] pathBytes() {
        return rawPath.getBytes(ISO_8859_1);
    }

    String path() {
        return HostTree.utf8(pathBytes());
    }
}
