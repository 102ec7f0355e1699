package dev.looplease.security;

import jakarta.servlet.http.HttpServletRequest;
import java.util.Set;
import org.springframework.security.web.util.matcher.RequestMatcher;

/**
 * What everybody may read: whether the agent lives, its description, and the files of its pages. Compared with the path
 * as it was sent; whatever is not written in the one plain way is refused before (StrictHttpFirewall), or needs a token.
 */
final class OpenPaths implements RequestMatcher {

    /** Open too, but says more to whoever has a token. */
    static final String HEALTH = "/actuator/health";

    private static final Set<String> FILES = Set.of(
            "/livez",
            "/readyz",
            "/",
            "/index.html",
            "/favicon.ico",
            "/swagger-ui",
            "/swagger-ui.html",
            "/v3/api-docs",
            "/v3/api-docs.yaml",
            "/v3/api-docs/swagger-config");

    private static final String SWAGGER_UI = "/swagger-ui/";

    @Override
    public boolean matches(HttpServletRequest request) {
        String path = request.getRequestURI();
        return isRead(request) && (FILES.contains(path) || path.startsWith(SWAGGER_UI));
    }

    static boolean isHealth(HttpServletRequest request) {
        return isRead(request) && request.getRequestURI().equals(HEALTH);
    }

    private static boolean isRead(HttpServletRequest request) {
        return request.getMethod().equals("GET") || request.getMethod().equals("HEAD");
    }
}
