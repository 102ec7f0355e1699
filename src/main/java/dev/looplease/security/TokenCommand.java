package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.io.Reader;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * {@code java -jar looplease.jar token …}: makes a token, or hashes one, and prints the entry for the tokens file. It is
 * no agent, and touches nothing.
 */
public final class TokenCommand {

    /** The first argument that makes it this command. */
    public static final String NAME = "token";

    private static final String USAGE = """
            token --name NAME --role viewer|user|operator [--expires 2027-01-31T00:00:00Z]
                makes a token, prints it, and prints the entry for the tokens file
            token hash [--name NAME --role …]
                reads a token from standard input, and prints its hash, or the entry
            """;

    /** What is shorter may have been thought of by somebody, and found by trying. */
    private static final int SHORTEST = 32;

    private static final int OK = 0;
    private static final int WRONG = 2;

    private final Reader in;
    private final PrintStream out;
    private final PrintStream err;

    public TokenCommand(Reader in, PrintStream out, PrintStream err) {
        this.in = in;
        this.out = out;
        this.err = err;
    }

    /** Does what the arguments say, and returns the exit status. */
    public int run(List<String> arguments) throws IOException {
        try {
            boolean hash = !arguments.isEmpty() && arguments.getFirst().equals("hash");
            Options options = Options.parse(arguments.subList(hash ? 1 : 0, arguments.size()));
            if (hash) {
                String token = read();
                out.print(options.isEmpty() ? Sha256.of(token).hex() + "\n" : options.entry(token));
            } else {
                String token = TokenText.next();
                String entry = options.entry(token);
                out.print("The token, shown this once:\n\n" + token + "\n\nFor the tokens file, below \"tokens:\":\n\n"
                        + entry);
            }
            return OK;
        } catch (IllegalArgumentException e) {
            err.print(e.getMessage() + "\n\n" + USAGE);
            return WRONG;
        }
    }

    private String read() throws IOException {
        String line = Optional.ofNullable(new BufferedReader(in).readLine())
                .orElse("")
                .strip();
        if (line.length() < SHORTEST) {
            throw new IllegalArgumentException("There is no token on standard input, or one of less than " + SHORTEST
                    + " characters, which could be found by trying.");
        }
        return line;
    }

    /** What the entry says. */
    private record Options(
            @Nullable String name,
            @Nullable String role,
            @Nullable String expires) {

        static Options parse(List<String> arguments) {
            Options options = new Options(null, null, null);
            for (int i = 0; i < arguments.size(); i += 2) {
                if (i + 1 == arguments.size()) {
                    throw new IllegalArgumentException(arguments.get(i) + " needs a value.");
                }
                options = options.with(arguments.get(i), arguments.get(i + 1));
            }
            return options;
        }

        private Options with(String option, String value) {
            return switch (option) {
                case "--name" -> new Options(value, role, expires);
                case "--role" -> new Options(name, value, expires);
                case "--expires" -> new Options(name, role, value);
                default -> throw new IllegalArgumentException("There is no " + option + ".");
            };
        }

        boolean isEmpty() {
            return name == null && role == null && expires == null;
        }

        /** Checked as the file is, so that what is printed can be read. */
        String entry(String token) {
            if (name == null || role == null) {
                throw new IllegalArgumentException("--name and --role are needed.");
            }
            Caller caller = new Caller(name, TokensYaml.role(role), Quota.NONE, Caller.Sight.FULL);
            return "- name: \"%s\"\n  role: %s\n  sha256: \"%s\"\n%s"
                    .formatted(
                            caller.name(),
                            Roles.text(caller.role()),
                            Sha256.of(token).hex(),
                            expires == null ? "" : "  expires: " + time(expires) + "\n");
        }

        private static Instant time(String text) {
            try {
                return Instant.parse(text);
            } catch (DateTimeParseException e) {
                throw new IllegalArgumentException("--expires must be a time in UTC: 2027-01-31T00:00:00Z.", e);
            }
        }
    }
}
