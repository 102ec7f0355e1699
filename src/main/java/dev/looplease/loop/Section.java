package dev.looplease.loop;

/** The part of a file that a loop device maps, in bytes: {@code start} inclusive, {@code end} exclusive. */
record Section(long start, long end) {

    /**
     * A mapping as the kernel keeps it. Without a size limit it reaches as far as the file ever grows.
     *
     * @param sizeLimitBytes 0 for no limit
     */
    static Section of(long offsetBytes, long sizeLimitBytes) {
        boolean open = sizeLimitBytes == 0 || sizeLimitBytes > Long.MAX_VALUE - offsetBytes;
        return new Section(offsetBytes, open ? Long.MAX_VALUE : offsetBytes + sizeLimitBytes);
    }

    boolean overlaps(Section other) {
        return start < other.end && other.start < end;
    }

    /**
     * The length of the section that a device will have. The kernel clips a section at the file's end and at whole
     * sectors, and gives a device of 0 bytes, without a word: so ask before.
     *
     * @return a positive multiple of {@code sectorSize}
     * @throws LoopException.Invalid when the section is empty, leaves the file, or is no multiple of the sector size
     */
    static long check(long fileBytes, long offsetBytes, long sizeLimitBytes, int sectorSize) {
        if (offsetBytes >= fileBytes) {
            throw new LoopException.Invalid(
                    "offsetBytes", "must lie inside the file of " + fileBytes + " bytes, not at " + offsetBytes);
        }
        long rest = fileBytes - offsetBytes;
        if (sizeLimitBytes > rest) {
            throw new LoopException.Invalid(
                    "sizeLimitBytes",
                    "must end inside the file: at most " + rest + " bytes are left after offsetBytes, not "
                            + sizeLimitBytes);
        }
        long length = sizeLimitBytes == 0 ? rest : sizeLimitBytes;
        if (length % sectorSize != 0) {
            throw new LoopException.Invalid(
                    "sectorSize",
                    "must divide the mapped section of " + length + " bytes; " + sectorSize + " does not");
        }
        return length;
    }
}
