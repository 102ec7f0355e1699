package dev.looplease.acceptance;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.springframework.beans.factory.support.DefaultListableBeanFactory;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.annotation.Order;
import org.springframework.core.env.MapPropertySource;
import org.springframework.util.FileSystemUtils;

/** Gives an agent directories of its own, which live as long as it does: they are removed when all its beans are gone. */
@Order(TemporaryState.ORDER)
final class TemporaryState implements ApplicationContextInitializer<ConfigurableApplicationContext> {

    static final int ORDER = 0;

    /** The directory around all the others. */
    static final String HOME = "test.home";

    /** The image root in which tests keep the files of an imagined user. */
    static final String USER_FILES = "looplease.image-roots[0]";

    @Override
    public void initialize(ConfigurableApplicationContext context) {
        try {
            Path directory = Files.createTempDirectory("looplease-http").toRealPath();
            Path userFiles = Files.createDirectory(directory.resolve("user"));
            Files.createDirectory(directory.resolve("state"));
            context.getEnvironment()
                    .getPropertySources()
                    .addFirst(new MapPropertySource(
                            "temporary state",
                            Map.of(
                                    HOME,
                                    directory.toString(),
                                    "looplease.state-dir",
                                    directory.resolve("state").toString(),
                                    USER_FILES,
                                    userFiles.toString())));
            // Destroyed in reverse order: what is registered before any bean is destroyed after all of them.
            ((DefaultListableBeanFactory) context.getBeanFactory())
                    .registerDisposableBean("temporaryState", () -> FileSystemUtils.deleteRecursively(directory));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
