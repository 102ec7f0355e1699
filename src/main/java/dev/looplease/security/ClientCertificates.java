package dev.looplease.security;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.security.cert.X509Certificate;
import java.time.Clock;
import java.util.Optional;
import org.springframework.http.HttpHeaders;
import org.springframework.security.authentication.BadCredentialsException;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.core.context.SecurityContextImpl;
import org.springframework.security.web.authentication.preauth.x509.SubjectX500PrincipalExtractor;
import org.springframework.security.web.authentication.preauth.x509.X509PrincipalExtractor;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Tells from a client's certificate who sends a request that carries no token. TLS has checked by then that somebody
 * whom the operator trusts has signed it; whose it is says the tokens file, by its common name.
 */
final class ClientCertificates extends OncePerRequestFilter {

    /** Jakarta Servlet 6.1, 3.10. */
    private static final String ATTRIBUTE = "jakarta.servlet.request.X509Certificate";

    private final X509PrincipalExtractor commonName = new SubjectX500PrincipalExtractor();
    private final CredentialStore credentials;
    private final Clock clock;
    private final Refusals refusals;

    ClientCertificates(CredentialStore credentials, Clock clock, Refusals refusals) {
        this.credentials = credentials;
        this.clock = clock;
        this.refusals = refusals;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        Optional<Credential> known = request.isSecure() && request.getHeader(HttpHeaders.AUTHORIZATION) == null
                ? credential(request)
                : Optional.empty();
        if (known.isPresent()) {
            try {
                SecurityContextHolder.setContext(new SecurityContextImpl(BearerTokens.accept(known.get(), clock)));
            } catch (RefusedException expired) {
                refusals.commence(request, response, expired);
                return;
            }
        }
        chain.doFilter(request, response);
    }

    private Optional<Credential> credential(HttpServletRequest request) {
        return request.getAttribute(ATTRIBUTE) instanceof X509Certificate[] certificates && certificates.length > 0
                ? name(certificates[0]).flatMap(credentials::byCertificate)
                : Optional.empty();
    }

    /** Empty where it has no common name: then it is nobody's who could be in the tokens file. */
    private Optional<String> name(X509Certificate certificate) {
        try {
            return Optional.of(String.valueOf(commonName.extractPrincipal(certificate)));
        } catch (BadCredentialsException e) {
            return Optional.empty();
        }
    }
}
