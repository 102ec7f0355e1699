package dev.looplease.security;

import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.Ordered;

/** Puts the audit log around everything that may refuse. */
@Configuration(proxyBeanMethods = false)
class AuditConfiguration {

    @Bean
    AuditLog auditLog() {
        return new AuditLog();
    }

    @Bean
    FilterRegistrationBean<AuditLog> auditLogRegistration(AuditLog log) {
        var registration = new FilterRegistrationBean<>(log);
        registration.setOrder(Ordered.HIGHEST_PRECEDENCE + 2);
        return registration;
    }
}
