package dev.looplease.losetup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Numbers and layouts, compared with the C headers; guards against a struct that the kernel reads differently. */
class LoopIoctlsTest {

    private static final Map<String, String> C = new TreeMap<>(Map.of(
            "CONFIG_SIZE", "sizeof(struct loop_config)",
            "CONFIG_FD", "offsetof(struct loop_config, fd)",
            "CONFIG_BLOCK_SIZE", "offsetof(struct loop_config, block_size)",
            "CONFIG_INFO", "offsetof(struct loop_config, info)",
            "INFO_SIZE", "sizeof(struct loop_info64)",
            "INFO_DEVICE", "offsetof(struct loop_info64, lo_device)",
            "INFO_INODE", "offsetof(struct loop_info64, lo_inode)",
            "INFO_FILE_NAME", "offsetof(struct loop_info64, lo_file_name)",
            "INFO_NUMBER", "offsetof(struct loop_info64, lo_number)",
            "INFO_FLAGS", "offsetof(struct loop_info64, lo_flags)"));

    static {
        C.put("INFO_RDEVICE", "offsetof(struct loop_info64, lo_rdevice)");
        C.put("INFO_OFFSET", "offsetof(struct loop_info64, lo_offset)");
        C.put("INFO_SIZELIMIT", "offsetof(struct loop_info64, lo_sizelimit)");
    }

    @Test
    void areThoseOfTheHeaders(@TempDir Path directory) throws Exception {
        assumeTrue(compiles(directory), "needs gcc, <linux/loop.h> and <linux/fs.h>");
        Map<String, Integer> java = new TreeMap<>();
        for (Field field : LoopIoctls.class.getDeclaredFields()) {
            if (field.getType() == int.class) {
                java.put(field.getName(), field.getInt(null));
            }
        }
        assertThat(java).containsKeys(C.keySet().toArray(String[]::new));
        String prints = java.keySet().stream()
                .map(name -> "printf(\"%s=%d\\n\", \"" + name + "\", (int) (" + C.getOrDefault(name, name) + "));")
                .collect(Collectors.joining("\n"));
        Path source = Files.writeString(directory.resolve("numbers.c"), program(prints));
        LoopFixture.run("gcc", "-o", directory + "/numbers", source.toString());

        String expected = java.entrySet().stream()
                .map(number -> number.getKey() + "=" + number.getValue())
                .collect(Collectors.joining("\n"));
        assertThat(LoopFixture.run(directory + "/numbers").strip()).isEqualTo(expected);
    }

    private static boolean compiles(Path directory) throws IOException, InterruptedException {
        Path source = Files.writeString(directory.resolve("probe.c"), program(""));
        try {
            return new ProcessBuilder("gcc", "-o", directory + "/probe", source.toString())
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private static String program(String body) {
        return """
                #include <stddef.h>
                #include <stdio.h>
                #include <linux/loop.h>
                #include <linux/fs.h>
                #ifndef BLKGETDISKSEQ
                #define BLKGETDISKSEQ _IOR(0x12, 128, __u64)
                #endif
                int main(void) {
                %s
                return 0;
                }
                """.formatted(body);
    }
}
