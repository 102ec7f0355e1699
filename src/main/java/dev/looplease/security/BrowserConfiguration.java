package dev.looplease.security;

import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.Ordered;
import org.springframework.http.HttpHeaders;
import org.springframework.web.cors.CorsConfiguration;
import org.springframework.web.cors.UrlBasedCorsConfigurationSource;
import org.springframework.web.filter.CorsFilter;
import org.springframework.web.servlet.HandlerExceptionResolver;

/** Which names and origins browsers may use. */
@Configuration(proxyBeanMethods = false)
@EnableConfigurationProperties(BrowserConfiguration.Settings.class)
class BrowserConfiguration {

    private static final Path HOST_NAME = Path.of("/proc/sys/kernel/hostname");

    private static final int ORDER = Ordered.HIGHEST_PRECEDENCE + 5;

    /**
     * {@code looplease.allowed-hosts} and {@code looplease.allowed-origins}.
     *
     * @param allowedHosts further names by which the agent may be called
     * @param allowedOrigins whose pages may use it: {@code https://dashboard.example}
     */
    @ConfigurationProperties("looplease")
    record Settings(
            @DefaultValue List<String> allowedHosts,
            @DefaultValue Set<String> allowedOrigins) {
        Settings {
            Set<String> origins = new LinkedHashSet<>();
            allowedOrigins.forEach(origin -> origins.add(origin.strip().toLowerCase(Locale.ROOT)));
            allowedOrigins = origins;
        }
    }

    @Bean
    FilterRegistrationBean<BrowserGuard> browserGuard(
            Settings settings,
            @Value("${server.address:#{null}}") @Nullable InetAddress address,
            @Qualifier("handlerExceptionResolver") HandlerExceptionResolver problems)
            throws IOException {
        OwnNames names = new OwnNames(address, Files.readString(HOST_NAME), settings.allowedHosts());
        var registration = new FilterRegistrationBean<>(new BrowserGuard(names, settings.allowedOrigins(), problems));
        registration.setOrder(ORDER);
        return registration;
    }

    /** Pages of other origins may read the answers only where the operator names them. */
    @Bean
    FilterRegistrationBean<CorsFilter> allowedOrigins(Settings settings) {
        CorsConfiguration cors = new CorsConfiguration();
        cors.setAllowedOrigins(List.copyOf(settings.allowedOrigins()));
        cors.setAllowedMethods(List.of("GET", "POST", "PUT", "PATCH", "DELETE"));
        cors.setAllowedHeaders(List.of("*"));
        cors.setExposedHeaders(List.of(HttpHeaders.ETAG, HttpHeaders.LOCATION, HttpHeaders.RETRY_AFTER));
        UrlBasedCorsConfigurationSource everywhere = new UrlBasedCorsConfigurationSource();
        everywhere.registerCorsConfiguration("/**", cors);
        var registration = new FilterRegistrationBean<>(new CorsFilter(everywhere));
        registration.setOrder(ORDER + 1);
        // No condition of Spring's: those are decided when an image is built, before anybody has set anything.
        registration.setEnabled(!settings.allowedOrigins().isEmpty());
        return registration;
    }
}
