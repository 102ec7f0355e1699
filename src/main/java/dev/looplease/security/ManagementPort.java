package dev.looplease.security;

import jakarta.servlet.Filter;
import java.util.Objects;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.actuate.autoconfigure.web.server.ConditionalOnManagementPort;
import org.springframework.boot.actuate.autoconfigure.web.server.ManagementPortType;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;

/**
 * A separate {@code management.server.port} is a web server of its own, which Spring Boot lets nothing but the door
 * itself guard: the guard against browsers and the audit log stand before that one too.
 *
 * <p>Named in {@code META-INF/spring}, and no {@code @Configuration}, because the agent's own scan would find that.
 */
@ConditionalOnManagementPort(ManagementPortType.DIFFERENT)
class ManagementPort {

    @Bean
    FilterRegistrationBean<BrowserGuard> managementBrowserGuard(
            @Qualifier("browserGuard") FilterRegistrationBean<BrowserGuard> guard) {
        return same(guard);
    }

    @Bean
    FilterRegistrationBean<AuditLog> managementAuditLog(
            @Qualifier("auditLogRegistration") FilterRegistrationBean<AuditLog> log) {
        return same(log);
    }

    private static <F extends Filter> FilterRegistrationBean<F> same(FilterRegistrationBean<F> registered) {
        var registration = new FilterRegistrationBean<>(Objects.requireNonNull(registered.getFilter()));
        registration.setOrder(registered.getOrder());
        return registration;
    }
}
