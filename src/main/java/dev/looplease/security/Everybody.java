package dev.looplease.security;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.springframework.security.core.context.SecurityContextHolder;
import org.springframework.security.core.context.SecurityContextImpl;
import org.springframework.web.filter.OncePerRequestFilter;

/** Where nobody is asked for a token, everybody is the same caller. */
final class Everybody extends OncePerRequestFilter {

    private final CallerAuthentication everybody;

    Everybody(CallerAuthentication everybody) {
        this.everybody = everybody;
    }

    @Override
    protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws ServletException, IOException {
        SecurityContextHolder.setContext(new SecurityContextImpl(everybody));
        chain.doFilter(request, response);
    }
}
