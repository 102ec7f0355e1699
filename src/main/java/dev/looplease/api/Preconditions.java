package dev.looplease.api;

import dev.looplease.loop.LoopException;
import dev.looplease.loop.Precondition;
import jakarta.servlet.http.HttpServletRequest;
import java.util.HashSet;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.ResponseEntity;

/** Reads If-Match, and the form of If-None-Match that Spring does not know; RFC 9110, 13.1.1 and 8.8.3. */
final class Preconditions {

    private static final Pattern TAG = Pattern.compile("\\s*(W/)?(\"[^\"]*\")\\s*(,|$)");

    private Preconditions() {}

    /**
     * That answer, or 304 where a client only wants what it has no version of at all (If-None-Match: *, RFC 9110, 13.1.2).
     * Spring knows the other form, and takes this one for a tag.
     */
    static <T> ResponseEntity<T> unlessNoneIsWanted(HttpServletRequest request, ResponseEntity<T> answer) {
        String header = request.getHeader(HttpHeaders.IF_NONE_MATCH);
        return header != null && header.strip().equals("*")
                ? ResponseEntity.status(HttpStatus.NOT_MODIFIED)
                        .headers(answer.getHeaders())
                        .build()
                : answer;
    }

    static Precondition parse(@Nullable String ifMatch) {
        if (ifMatch == null) {
            return new Precondition.None();
        }
        if (ifMatch.strip().equals("*")) {
            return new Precondition.Any();
        }
        Set<String> etags = new HashSet<>();
        Matcher matcher = TAG.matcher(ifMatch);
        int end = 0;
        while (end < ifMatch.length() && matcher.find(end) && matcher.start() == end) {
            // If-Match compares strongly: a weak tag matches nothing.
            if (matcher.group(1) == null) {
                etags.add(matcher.group(2));
            }
            end = matcher.end();
        }
        if (end < ifMatch.length() || ifMatch.isBlank()) {
            throw new LoopException.Invalid(
                    "If-Match", "must be * or entity tags in double quotes, as in an ETag header");
        }
        return new Precondition.OneOf(etags);
    }
}
