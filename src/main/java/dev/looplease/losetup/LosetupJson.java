package dev.looplease.losetup;

import dev.looplease.posix.DeviceNumber;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Reads what {@code losetup --list --json} prints, of every util-linux since 2.30: truth values are {@code true},
 * {@code 1} or {@code "1"}, numbers may be text, device numbers are padded with spaces, an empty list may be an empty
 * output, and an unbound device that was named has nulls. Pure.
 */
final class LosetupJson {

    /**
     * What is asked for. Not the image's name: it is free text, which util-linux has escaped wrongly at times, and one
     * stranger's odd file name would spoil the whole list; sysfs has it. Nor what is only in newer versions.
     */
    static final String COLUMNS = "NAME,BACK-INO,BACK-MAJ:MIN,OFFSET,SIZELIMIT,RO,AUTOCLEAR,PARTSCAN";

    private static final List<String> VALUES = List.of("back-ino", "back-maj:min", "offset", "sizelimit");
    private static final Pattern NODE = Pattern.compile("(?:.*/)?loop(\\d{1,7})");
    private static final JsonMapper MAPPER = JsonMapper.shared();

    private LosetupJson() {}

    /** A bound loop device, as far as only losetup tells. */
    record Row(
            int number,
            DeviceNumber backingDevice,
            long backingInode,
            long offsetBytes,
            long sizeLimitBytes,
            boolean readOnly,
            boolean autoclear,
            boolean partScan) {}

    /** The bound ones among the devices listed. */
    static List<Row> parse(String output) throws LosetupException {
        if (output.isBlank()) {
            return List.of();
        }
        try {
            List<Row> rows = new ArrayList<>();
            for (JsonNode device : MAPPER.readTree(output).required("loopdevices")) {
                row(device).ifPresent(rows::add);
            }
            return rows;
        } catch (JacksonException | IllegalArgumentException e) {
            throw new LosetupException.KernelError(
                    LosetupException.KernelError.UNKNOWN, "losetup's list cannot be read: " + e.getMessage());
        }
    }

    /** The number in {@code /dev/loop7}, as {@code --show} prints it, with its line feed. */
    static Optional<Integer> number(String node) {
        Matcher match = NODE.matcher(node.strip());
        return match.matches() ? Optional.of(Integer.parseInt(match.group(1))) : Optional.empty();
    }

    private static Optional<Row> row(JsonNode device) {
        // Nulls: nothing is bound, or what is bound came or went while losetup looked.
        if (VALUES.stream().anyMatch(column -> text(device, column).isEmpty())) {
            return Optional.empty();
        }
        String name = text(device, "name");
        return Optional.of(new Row(
                number(name).orElseThrow(() -> new IllegalArgumentException("no loop device: " + name)),
                DeviceNumber.parse(text(device, "back-maj:min")),
                // Inodes have 64 bits without a sign: XFS and overlays use them all.
                Long.parseUnsignedLong(text(device, "back-ino")),
                Long.parseLong(text(device, "offset")),
                Long.parseLong(text(device, "sizelimit")),
                isTrue(text(device, "ro")),
                isTrue(text(device, "autoclear")),
                isTrue(text(device, "partscan"))));
    }

    private static String text(JsonNode device, String column) {
        return device.required(column).asString().strip();
    }

    private static boolean isTrue(String text) {
        return text.equals("1") || text.equals("true");
    }
}
