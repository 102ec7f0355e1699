package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.springframework.util.unit.DataSize;
import org.yaml.snakeyaml.DumperOptions;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.DuplicateKeyException;
import org.yaml.snakeyaml.constructor.SafeConstructor;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import org.yaml.snakeyaml.error.YAMLException;
import org.yaml.snakeyaml.representer.Representer;
import org.yaml.snakeyaml.resolver.Resolver;

/** Reads the text of a tokens file, strictly: what is misspelt must not turn a short life into a long one. */
final class TokensYaml {

    private static final String ROOT = "tokens";
    private static final Set<String> FIELDS = Set.of("name", "role", "sha256", "certificate", "expires", "quota");
    private static final Set<String> QUOTAS = Set.of("devices", "bytes", "leases", "requests-per-second");

    /** Lifts a limit that is configured for all. */
    private static final String UNLIMITED = "none";

    private final Callers callers;

    TokensYaml(Callers callers) {
        this.callers = callers;
    }

    /** @throws IllegalArgumentException with the place and what is wrong there */
    Credentials parse(String text) {
        Object document = load(text);
        if (!(document instanceof Map<?, ?> root) || !root.keySet().equals(Set.of(ROOT))) {
            throw new IllegalArgumentException("it must have one field, tokens, a list");
        }
        if (!(root.get(ROOT) instanceof List<?> entries)) {
            throw new IllegalArgumentException("tokens must be a list");
        }
        List<Credential> credentials = new ArrayList<>();
        for (Object entry : entries) {
            String place = ROOT + "[" + credentials.size() + "]: ";
            try {
                credentials.add(credential(fields(entry, FIELDS)));
            } catch (IllegalArgumentException | DateTimeParseException e) {
                throw new IllegalArgumentException(place + e.getMessage(), e);
            }
        }
        return new Credentials(credentials);
    }

    private static @Nullable Object load(String text) {
        LoaderOptions options = new LoaderOptions();
        options.setAllowDuplicateKeys(false);
        DumperOptions unused = new DumperOptions();
        try {
            return new Yaml(new SafeConstructor(options), new Representer(unused), unused, options, new PlainText())
                    .load(text);
        } catch (DuplicateKeyException e) {
            throw new IllegalArgumentException(line(e) + doubled(e) + " is there twice", e);
        } catch (MarkedYAMLException e) {
            throw new IllegalArgumentException(line(e) + "it is not YAML", e);
        } catch (YAMLException e) {
            throw new IllegalArgumentException("it is not YAML", e);
        }
    }

    /** Where it is: the exception's own message quotes the line, hash and all. */
    private static String line(MarkedYAMLException e) {
        return e.getProblemMark() == null ? "" : "line " + (e.getProblemMark().getLine() + 1) + ": ";
    }

    /** The doubled key, which only the exception's text tells. It may be a hash in a wrong place; ours are none. */
    private static String doubled(DuplicateKeyException e) {
        return Stream.of(Set.of(ROOT), FIELDS, QUOTAS)
                .flatMap(Set::stream)
                .filter(field -> e.getProblem().endsWith(" key " + field))
                .findFirst()
                .orElse("a field");
    }

    /** Every value is text: a hash of digits is no number, and no name is a date. */
    private static final class PlainText extends Resolver {
        @Override
        protected void addImplicitResolvers() {
            // none
        }
    }

    private static Map<?, ?> fields(@Nullable Object entry, Set<String> known) {
        if (!(entry instanceof Map<?, ?> fields)) {
            throw new IllegalArgumentException("must have the fields " + known);
        }
        for (Object field : fields.keySet()) {
            if (!known.contains(field)) {
                throw new IllegalArgumentException("there is no field " + field);
            }
        }
        return fields;
    }

    private Credential credential(Map<?, ?> fields) {
        String name = text(fields, "name").orElseThrow(() -> new IllegalArgumentException("name is missing"));
        String role = text(fields, "role").orElseThrow(() -> new IllegalArgumentException("role is missing"));
        return new Credential(
                callers.of(name, role(role), quota(fields.get("quota"))),
                text(fields, "sha256").map(TokensYaml::hash),
                text(fields, "certificate"),
                text(fields, "expires").map(TokensYaml::time).orElse(null));
    }

    static Caller.Role role(String text) {
        return Roles.parse(text)
                .orElseThrow(() -> new IllegalArgumentException("role: must be viewer, user or operator"));
    }

    private static Sha256 hash(String hex) {
        try {
            return Sha256.parse(hex.toLowerCase(Locale.ROOT));
        } catch (IllegalArgumentException e) {
            // Without the cause, which quotes it.
            throw new IllegalArgumentException("sha256: must be 64 hexadecimal digits");
        }
    }

    private static Instant time(String text) {
        try {
            return Instant.parse(text);
        } catch (DateTimeParseException e) {
            throw new IllegalArgumentException("expires: must be a time in UTC, 2027-01-31T00:00:00Z", e);
        }
    }

    private Quota quota(@Nullable Object value) {
        Quota defaults = callers.defaultQuota();
        if (value == null) {
            return defaults;
        }
        Map<?, ?> fields = fields(value, QUOTAS);
        return new Quota(
                count(fields, "devices", defaults.devices()),
                bytes(fields, "bytes", defaults.bytes()),
                count(fields, "leases", defaults.leases()),
                count(fields, "requests-per-second", defaults.requestsPerSecond()));
    }

    private static OptionalInt count(Map<?, ?> fields, String name, OptionalInt inherited) {
        Optional<String> text = text(fields, name);
        if (text.isEmpty()) {
            return inherited;
        }
        try {
            return text.get().equals(UNLIMITED) ? OptionalInt.empty() : OptionalInt.of(Integer.parseInt(text.get()));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(name + ": must be a number or none", e);
        }
    }

    private static OptionalLong bytes(Map<?, ?> fields, String name, OptionalLong inherited) {
        Optional<String> text = text(fields, name);
        if (text.isEmpty()) {
            return inherited;
        }
        try {
            return text.get().equals(UNLIMITED)
                    ? OptionalLong.empty()
                    : OptionalLong.of(DataSize.parse(text.get()).toBytes());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(name + ": must be a size (50GB) or none", e);
        }
    }

    private static Optional<String> text(Map<?, ?> fields, String name) {
        Object value = fields.get(name);
        if (value == null) {
            return Optional.empty();
        }
        if (value instanceof String text && !text.isBlank()) {
            return Optional.of(text.strip());
        }
        throw new IllegalArgumentException(name + ": must be text");
    }
}
