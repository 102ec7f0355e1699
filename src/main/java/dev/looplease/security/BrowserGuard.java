package dev.looplease.security;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.web.ErrorResponseException;
import org.springframework.web.filter.OncePerRequestFilter;
import org.springframework.web.servlet.HandlerExceptionResolver;

/**
 * Keeps web pages away. A browser on the agent's host, or one that can reach it, runs pages of anybody: none may use the
 * agent from another site, nor under another name that was made to lead here (DNS rebinding).
 *
 * <p>Both are told by headers that no page can forge: Host, Origin and Sec-Fetch-Site. Programs send no such headers, or
 * the right Host, and notice nothing.
 */
final class BrowserGuard extends OncePerRequestFilter {

    private final OwnNames names;
    private final Set<String> allowedOrigins;
    private final HandlerExceptionResolver problems;

    /**
     * @param allowedOrigins {@code https://dashboard.example}: whose pages may use the agent
     * @param problems answers a refusal
     */
    BrowserGuard(OwnNames names, Set<String> allowedOrigins, HandlerExceptionResolver problems) {
        this.names = names;
        this.allowedOrigins = Set.copyOf(allowedOrigins);
        this.problems = problems;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        Optional<ErrorResponseException> refusal = hostRefusal(request).or(() -> crossSiteRefusal(request));
        if (refusal.isPresent()) {
            problems.resolveException(request, response, null, refusal.get());
        } else {
            chain.doFilter(request, response);
        }
    }

    private Optional<ErrorResponseException> hostRefusal(HttpServletRequest request) {
        @Nullable String host = request.getHeader(HttpHeaders.HOST);
        if (host == null || host.isBlank()) {
            // HTTP/1.0, or a program that knows no name: every browser knows one.
            return Optional.empty();
        }
        // The second is another where a proxy forwards it, or in an absolute request line. That excuses no wrong one
        // in the first, which alone no page can forge: anybody may add X-Forwarded-Host.
        return Stream.of(OwnNames.hostOf(host), request.getServerName())
                .map(OwnNames::bare)
                .filter(name -> !names.contain(name, request.getLocalAddr()))
                .findFirst()
                .flatMap(name -> refusal(
                        "host-refused",
                        "Not this agent's name",
                        name + " is not a name of this agent. If it should be, add it to looplease.allowed-hosts."));
    }

    private Optional<ErrorResponseException> crossSiteRefusal(HttpServletRequest request) {
        @Nullable String origin = request.getHeader(HttpHeaders.ORIGIN);
        if (origin != null) {
            return isOwn(origin, request) || allowedOrigins.contains(origin.toLowerCase(Locale.ROOT))
                    ? Optional.empty()
                    : crossSite("A page of another origin may not use this agent.");
        }
        @Nullable String site = request.getHeader("Sec-Fetch-Site");
        boolean own = site == null || site.equals("same-origin") || site.equals("none");
        return own || isNavigation(request)
                ? Optional.empty()
                : crossSite("A page of another site may not use this agent.");
    }

    /** Scheme and path apart: behind a proxy that speaks TLS the scheme is another. */
    private static boolean isOwn(String origin, HttpServletRequest request) {
        try {
            String authority = URI.create(origin).getRawAuthority();
            return authority != null && authority.equalsIgnoreCase(request.getHeader(HttpHeaders.HOST));
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Following a link to Swagger UI. What is shown then the other page cannot read. */
    private static boolean isNavigation(HttpServletRequest request) {
        return request.getMethod().equals("GET")
                && "navigate".equals(request.getHeader("Sec-Fetch-Mode"))
                && "document".equals(request.getHeader("Sec-Fetch-Dest"));
    }

    private static Optional<ErrorResponseException> crossSite(String detail) {
        return refusal("cross-site", "Another site's request", detail);
    }

    private static Optional<ErrorResponseException> refusal(String type, String title, String detail) {
        ProblemDetail problem = ProblemDetail.forStatusAndDetail(HttpStatus.FORBIDDEN, detail);
        problem.setType(URI.create("/problems/" + type));
        problem.setTitle(title);
        return Optional.of(new ErrorResponseException(HttpStatus.FORBIDDEN, problem, null));
    }
}
