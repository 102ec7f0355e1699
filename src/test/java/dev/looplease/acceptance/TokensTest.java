package dev.looplease.acceptance;

import java.nio.file.Path;
import org.springframework.boot.test.util.TestPropertyValues;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.annotation.Order;
import org.springframework.test.context.ContextConfiguration;

/** An agent that knows the people of {@link Tokens}, by a file in {@link #home}. */
@ContextConfiguration(initializers = TokensTest.TokensFile.class)
abstract class TokensTest extends HttpTest {

    @Override
    String token(Path stateDirectory) {
        return Tokens.OPERATOR;
    }

    /** The file lives as long as the agent, which classes share. */
    @Order(TokensFile.AFTER_TEMPORARY_STATE)
    static final class TokensFile implements ApplicationContextInitializer<ConfigurableApplicationContext> {

        static final int AFTER_TEMPORARY_STATE = TemporaryState.ORDER + 1;

        @Override
        public void initialize(ConfigurableApplicationContext context) {
            Path home = Path.of(context.getEnvironment().getRequiredProperty(TemporaryState.HOME));
            TestPropertyValues.of("looplease.tokens-file=" + Tokens.write(home)).applyTo(context);
        }
    }
}
