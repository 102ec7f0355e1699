package dev.looplease.api;

import java.util.Objects;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.actuate.autoconfigure.web.server.ConditionalOnManagementPort;
import org.springframework.boot.actuate.autoconfigure.web.server.ManagementPortType;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;

/**
 * A separate {@code management.server.port} has threads and connections of its own, which whoever reaches it could hold as
 * well.
 *
 * <p>Named in {@code META-INF/spring}, and no {@code @Configuration}, because the agent's own scan would find that.
 */
@ConditionalOnManagementPort(ManagementPortType.DIFFERENT)
class ManagementBounds {

    /** A few monitors ask there. */
    private static final double SHARE_OF_HEAP = 0.05;

    @Bean
    WebServerFactoryCustomizer<TomcatServletWebServerFactory> managementRequestBounds() {
        return new RequestBounds(SHARE_OF_HEAP);
    }

    @Bean
    FilterRegistrationBean<RequestSizeFilter> managementRequestSizeFilter(
            @Qualifier("requestSizeFilter") FilterRegistrationBean<RequestSizeFilter> filter) {
        var registration = new FilterRegistrationBean<>(Objects.requireNonNull(filter.getFilter()));
        registration.setOrder(filter.getOrder());
        return registration;
    }
}
