package dev.looplease.posix;

/**
 * A device's number, as {@code /sys/block/loop7/dev} prints it: {@code 7:7}.
 *
 * @param major the driver
 * @param minor the device among that driver's
 */
public record DeviceNumber(int major, int minor) {

    /** Reads {@code "7:7"}, and {@code "  7:7  "}, because losetup's JSON pads it with spaces. */
    public static DeviceNumber parse(String text) {
        String trimmed = text.strip();
        int colon = trimmed.indexOf(':');
        if (colon < 0) {
            throw new NumberFormatException("not a device number (major:minor): " + trimmed);
        }
        return new DeviceNumber(
                Integer.parseInt(trimmed.substring(0, colon)), Integer.parseInt(trimmed.substring(colon + 1)));
    }

    @Override
    public String toString() {
        return major + ":" + minor;
    }
}
