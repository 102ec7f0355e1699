package dev.looplease;

import dev.looplease.image.ImageStore;
import dev.looplease.journal.Journal;
import dev.looplease.journal.StateDirectory;
import dev.looplease.journal.StateDirectoryInUse;
import dev.looplease.loop.HostProbe;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.Ticker;
import dev.looplease.losetup.Losetup;
import dev.looplease.losetup.Losetups;
import dev.looplease.usage.DeviceUsers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Puts the rooms together; none of those below knows Spring. */
@Configuration(proxyBeanMethods = false)
@EnableConfigurationProperties(LoopleaseProperties.class)
class LoopleaseConfiguration {

    /** random(4): a new one at each start of the kernel. */
    private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

    @Bean
    Clock clock() {
        return Clock.systemUTC();
    }

    @Bean
    Losetup losetup(LoopleaseProperties properties) throws IOException {
        return Losetups.select(properties.backend(), properties.nodePolicy());
    }

    /** @param tokens the tokens file, where one is named; it must not be lent out, wherever it is */
    @Bean
    ImageStore imageStore(
            LoopleaseProperties properties,
            @Qualifier("stateDirectory") StateDirectory state,
            @Value("${looplease.tokens-file:#{null}}") @Nullable Path tokens)
            throws IOException {
        List<Path> own =
                tokens == null || !Files.exists(tokens) ? List.of(state.path()) : List.of(state.path(), tokens);
        try {
            return new ImageStore(properties.imagesDirectory(), properties.imageRoots(), own);
        } catch (IllegalArgumentException e) {
            throw new SettingException(
                    "looplease.images-dir: " + e.getMessage() + ".",
                    "Name a directory of its own in looplease.images-dir, or leave that out.",
                    e);
        }
    }

    @Bean
    HostProbe hostProbe(Losetup losetup, ImageStore images) {
        return new HostProbe(losetup, images);
    }

    /** Only one agent at a time works with a state directory, or with an images directory. */
    @Bean
    StateDirectory stateDirectory(LoopleaseProperties properties) throws IOException {
        // What is used first: an agent that cannot work with its settings has touched nothing.
        properties.check();
        return held("looplease.state-dir", () -> StateDirectory.lock(properties.stateDir()));
    }

    @Bean
    StateDirectory imagesDirectoryLock(ImageStore images) throws IOException {
        return held("looplease.images-dir", () -> StateDirectory.lockInPlace(images.directory()));
    }

    private interface Holding {
        StateDirectory get() throws IOException;
    }

    private static StateDirectory held(String setting, Holding holding) throws IOException {
        try {
            return holding.get();
        } catch (StateDirectoryInUse e) {
            throw e;
        } catch (IOException e) {
            throw new SettingException(
                    setting + ": " + e.getMessage() + ".",
                    "Mend that, or name another directory in " + setting + ".",
                    e);
        }
    }

    @Bean
    Journal journal(@Qualifier("stateDirectory") StateDirectory stateDirectory) throws IOException {
        return Journal.open(stateDirectory.path().resolve("journal"));
    }

    @Bean(destroyMethod = "")
    LoopService loopService(
            Losetup losetup, ImageStore images, Journal journal, LoopleaseProperties properties, LoopEvents events)
            throws IOException {
        return new LoopService(
                losetup,
                images,
                new DeviceUsers(),
                journal,
                Files.readString(BOOT_ID).strip(),
                properties.limits(),
                Ticker.boottime(),
                Clock.systemUTC(),
                events);
    }
}
