package dev.looplease;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.security.autoconfigure.UserDetailsServiceAutoConfiguration;

/** The agent: a privileged service that lends out this host's loop devices over HTTP. */
@SpringBootApplication(exclude = UserDetailsServiceAutoConfiguration.class)
public class LoopleaseApplication {

    public static void main(String[] args) {
        SpringApplication.run(LoopleaseApplication.class, args);
    }
}
