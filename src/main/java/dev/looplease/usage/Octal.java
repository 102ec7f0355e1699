package dev.looplease.usage;

import java.io.ByteArrayOutputStream;

/** The kernel's way to put any path on one line: {@code \040} for a space; {@code mangle_path} in {@code fs/seq_file.c}. */
final class Octal {

    private Octal() {}

    /** The bytes behind an escaped text that was read as ISO 8859-1. */
    static byte[] unescape(String text) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(text.length());
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == '\\' && isOctal(text, i + 1)) {
                bytes.write(Integer.parseInt(text, i + 1, i + 4, 8));
                i += 3;
            } else {
                bytes.write(text.charAt(i));
            }
        }
        return bytes.toByteArray();
    }

    private static boolean isOctal(String text, int from) {
        if (from + 3 > text.length()) {
            return false;
        }
        for (int i = from; i < from + 3; i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '7') {
                return false;
            }
        }
        return text.charAt(from) < '4';
    }
}
