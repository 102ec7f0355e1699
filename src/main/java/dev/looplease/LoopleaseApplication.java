package dev.looplease;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.looplease.security.TokenCommand;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.List;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.security.autoconfigure.UserDetailsServiceAutoConfiguration;

/** The agent: a privileged service that lends out this host's loop devices over HTTP. */
@SpringBootApplication(exclude = UserDetailsServiceAutoConfiguration.class)
public class LoopleaseApplication {

    public static void main(String[] args) throws IOException {
        if (args.length > 0 && args[0].equals(TokenCommand.NAME)) {
            List<String> rest = List.of(args).subList(1, args.length);
            System.exit(new TokenCommand(new InputStreamReader(System.in, UTF_8), System.out, System.err).run(rest));
        }
        SpringApplication.run(LoopleaseApplication.class, args);
    }
}
