package dev.looplease.security;

import dev.looplease.loop.Caller;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.web.filter.OncePerRequestFilter;

/** Notes for the {@link AuditLog} who asks: it writes when Spring Security has forgotten that. */
final class AuditedCaller extends OncePerRequestFilter {

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        if (SecurityContextHolder.getContext().getAuthentication() instanceof CallerAuthentication known) {
            Caller caller = known.getPrincipal();
            request.setAttribute(AuditLog.CALLER, caller);
        }
        chain.doFilter(request, response);
    }
}
