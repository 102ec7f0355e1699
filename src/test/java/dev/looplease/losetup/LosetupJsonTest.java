package dev.looplease.losetup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.looplease.losetup.LosetupJson.Row;
import dev.looplease.posix.DeviceNumber;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** losetup's output in the shapes that versions give it; those of 2.38.1 are recorded, the others written after them. */
class LosetupJsonTest {

    private static final Row ROW = new Row(7, new DeviceNumber(254, 0), 2146699, 1048576, 0, false, true, true);

    @ParameterizedTest
    @ValueSource(
            strings = {
                // everything is text, as older versions have it
                """
                {
                   "loopdevices": [
                      {"name": "/dev/loop7", "back-ino": "2146699", "back-maj:min": "254:0  ", "offset": "1048576", \
                "sizelimit": "0", "ro": "0", "autoclear": "1", "partscan": "1"}
                   ]
                }
                """,
                // numbers, and truth values as 1
                """
                {
                   "loopdevices": [
                      {"name":"/dev/loop7", "back-ino":2146699, "back-maj:min":"254:0  ", "offset":1048576, \
                "sizelimit":0, "ro":0, "autoclear":1, "partscan":1}
                   ]
                }
                """,
                // 2.38.1, recorded; with columns that are not asked for
                """
                {
                   "loopdevices": [
                      {
                         "name": "/dev/loop7",
                         "maj:min": "  7:7  ",
                         "offset": 1048576,
                         "sizelimit": 0,
                         "autoclear": true,
                         "ro": false,
                         "partscan": true,
                         "back-file": "/tmp/image (deleted)",
                         "back-ino": 2146699,
                         "back-maj:min": "     254:0  ",
                         "dio": false,
                         "log-sec": 512
                      }
                   ]
                }
                """
            })
    void readsEveryVersion(String output) throws Exception {
        assertThat(LosetupJson.parse(output)).containsExactly(ROW);
    }

    /** Older versions print nothing at all for an empty list. */
    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "{\n   \"loopdevices\": [\n\n   ]\n}\n"})
    void readsAnEmptyList(String output) throws Exception {
        assertThat(LosetupJson.parse(output)).isEmpty();
    }

    /** A device that goes while losetup looks: the image comes from an ioctl, the rest from sysfs. */
    @Test
    void leavesHalfARowOut() throws Exception {
        assertThat(LosetupJson.parse("""
                {"loopdevices": [{"name": "/dev/loop7", "back-ino": 12, "back-maj:min": "254:0", "offset": null,
                 "sizelimit": null, "ro": false, "autoclear": false, "partscan": false}]}
                """)).isEmpty();
    }

    /** Naming an unbound device exits 0 and prints a device of nulls (2.38.1, recorded). */
    @Test
    void leavesUnboundDevicesOut() throws Exception {
        assertThat(LosetupJson.parse("""
                {
                   "loopdevices": [
                      {
                         "name": "/dev/loop900",
                         "back-ino": null,
                         "back-maj:min": null,
                         "offset": null,
                         "sizelimit": null,
                         "ro": false,
                         "autoclear": false,
                         "partscan": false
                      }
                   ]
                }
                """)).isEmpty();
    }

    @Test
    void readsInodesOf64Bits() throws Exception {
        assertThat(LosetupJson.parse("""
                {"loopdevices": [{"name": "/dev/loop7", "back-ino": 18446744073709551615, "back-maj:min": "0:42",
                 "offset": 0, "sizelimit": 0, "ro": true, "autoclear": false, "partscan": false}]}
                """)).extracting(Row::backingInode).containsExactly(-1L);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "losetup: command not understood",
                "{}",
                "{\"loopdevices\": [",
                "{\"loopdevices\": [{\"back-ino\": 1}]}",
                """
                {"loopdevices": [{"name": "/dev/sda", "back-ino": 1, "back-maj:min": "1:2", "offset": 0, "sizelimit": 0}]}
                """,
                """
                {"loopdevices": [{"name": "/dev/loop1", "back-ino": 1, "back-maj:min": "x", "offset": 0, "sizelimit": 0}]}
                """
            })
    void saysThatItCannotReadGarbage(String output) {
        assertThatExceptionOfType(LosetupException.KernelError.class)
                .isThrownBy(() -> LosetupJson.parse(output))
                .withMessageContaining("cannot be read");
    }

    @Test
    void readsAShownName() {
        assertThat(LosetupJson.number("/dev/loop12\n")).contains(12);
        assertThat(LosetupJson.number("")).isEmpty();
        assertThat(LosetupJson.number("/dev/loop7p1")).isEmpty();
        assertThat(LosetupJson.number("/dev/loop7\n/dev/loop8\n")).isEmpty();
        assertThat(LosetupJson.number("/dev/loop99999999999999999999")).isEmpty();
    }
}
