package dev.looplease;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.security.TokenCommand;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.security.autoconfigure.UserDetailsServiceAutoConfiguration;
import org.springframework.boot.security.oauth2.server.resource.autoconfigure.OAuth2ResourceServerAutoConfiguration;

/** The agent: a privileged service that lends out this host's loop devices over HTTP. */
@SpringBootApplication(
        exclude = {UserDetailsServiceAutoConfiguration.class, OAuth2ResourceServerAutoConfiguration.class})
public class LoopleaseApplication {

    private static final String USAGE =
            "Usage: java -jar looplease.jar [--PROPERTY=VALUE ...] starts the agent; java -jar looplease.jar "
                    + TokenCommand.NAME + " ... makes a token.";

    private static final int WRONG_USAGE = 2;

    public static void main(String[] args) throws IOException {
        if (args.length > 0 && args[0].equals(TokenCommand.NAME)) {
            List<String> rest = List.of(args).subList(1, args.length);
            System.exit(new TokenCommand(new InputStreamReader(System.in, UTF_8), System.out, System.err).run(rest));
        }
        Optional<String> stray = Arrays.stream(args)
                .filter(argument -> !argument.startsWith("--") || argument.length() == 2)
                .findFirst();
        if (stray.isPresent()) {
            // Spring would let it pass, and whoever meant a command would have a privileged agent.
            System.err.printf("There is no command %s.%n%s%n", stray.get(), USAGE);
            System.exit(WRONG_USAGE);
        }
        StopWatchdog.watch();
        SpringApplication.run(LoopleaseApplication.class, args);
    }
}
