package dev.looplease.api;

import dev.looplease.loop.FieldError;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.springframework.http.converter.HttpMessageNotReadableException;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.exc.InputCoercionException;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.databind.exc.MismatchedInputException;
import tools.jackson.databind.exc.UnrecognizedPropertyException;

/** Tells people which field of their JSON is wrong and what it should be, in words of the interface, not of Java. */
final class JsonErrors {

    private static final Pattern DOUBLED = Pattern.compile("Duplicate Object property \"(.*)\"");

    private JsonErrors() {}

    static FieldError explain(HttpMessageNotReadableException failure) {
        if (!(failure.getCause() instanceof JacksonException cause)) {
            return new FieldError("body", "is missing: send a JSON object");
        }
        return switch (cause) {
            case UnrecognizedPropertyException e ->
                new FieldError(path(e), "is unknown; known are " + String.join(", ", names(e.getKnownPropertyIds())));
            case WholeText.HalfCharacterException e ->
                new FieldError(path(e), "must be of whole characters: a surrogate (\\ud800 to \\udfff) has no partner");
            case MismatchedInputException e -> new FieldError(path(e), "must be " + wanted(e.getTargetType()));
            case InputCoercionException e -> new FieldError(path(e), "must be " + wanted(e.getTargetType()));
            case StreamConstraintsException e ->
                new FieldError(path(e), "is too long, nested too deeply, or one value too many");
            case StreamReadException e ->
                doubled(e)
                        .map(field -> new FieldError(field, "is there twice"))
                        .orElseGet(() -> new FieldError("body", "must be JSON" + where(e)));
            default -> new FieldError("body", "must be JSON" + where(cause));
        };
    }

    private static List<String> names(@Nullable Collection<Object> ids) {
        return ids == null
                ? List.of()
                : ids.stream().map(String::valueOf).sorted().toList();
    }

    /** The parser tells a doubled name only in its message; the path leads to the object that has it twice. */
    private static Optional<String> doubled(StreamReadException e) {
        Matcher message = DOUBLED.matcher(e.getOriginalMessage());
        String object = steps(e);
        return message.lookingAt()
                ? Optional.of((object.isEmpty() ? "" : object + ".") + message.group(1))
                : Optional.empty();
    }

    private static String where(JacksonException e) {
        return e.getLocation() == null || e.getLocation().getLineNr() < 1
                ? ""
                : "; it is not at line " + e.getLocation().getLineNr() + ", column "
                        + e.getLocation().getColumnNr();
    }

    /** {@code labels.suite}, {@code devices[2].sizeMb}; {@code body} for the document itself. */
    private static String path(JacksonException e) {
        String path = steps(e);
        if (path.isEmpty() && e.processor() instanceof JsonParser parser && parser.currentName() != null) {
            return parser.currentName();
        }
        return path.isEmpty() ? "body" : path;
    }

    private static String steps(JacksonException e) {
        StringBuilder path = new StringBuilder();
        for (JacksonException.Reference step : e.getPath()) {
            if (step.getPropertyName() == null) {
                path.append('[').append(step.getIndex()).append(']');
            } else {
                path.append(path.isEmpty() ? "" : ".").append(step.getPropertyName());
            }
        }
        return path.toString();
    }

    /** What a Java type is to somebody who writes JSON. */
    static String wanted(@Nullable Class<?> type) {
        if (type == null) {
            return "a JSON object";
        }
        if (type.isEnum()) {
            return Arrays.stream(type.getEnumConstants())
                    .map(Object::toString)
                    .collect(Collectors.joining(", ", "one of ", ""));
        }
        return switch (type.getSimpleName().toLowerCase(Locale.ROOT)) {
            case "long", "biginteger" -> "a whole number below 2^63";
            case "int", "integer", "short" -> "a whole number below 2^31";
            case "boolean" -> "true or false";
            case "string" -> "text in double quotes";
            case "list", "arraylist", "collection" -> "an array";
            default -> "a JSON object";
        };
    }
}
