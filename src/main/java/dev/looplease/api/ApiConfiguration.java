package dev.looplease.api;

import dev.looplease.loop.LoopService;
import dev.looplease.loop.Ticker;
import dev.looplease.loop.WallClock;
import java.time.Clock;
import java.time.Duration;
import org.apache.catalina.core.StandardHost;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.http.converter.autoconfigure.ServerHttpMessageConvertersCustomizer;
import org.springframework.boot.jackson.autoconfigure.JsonMapperBuilderCustomizer;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.ApplicationListener;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.event.ContextClosedEvent;
import org.springframework.core.Ordered;
import org.springframework.core.annotation.Order;
import org.springframework.http.MediaType;
import org.springframework.util.unit.DataSize;
import org.springframework.web.servlet.config.annotation.InterceptorRegistry;
import org.springframework.web.servlet.config.annotation.ViewControllerRegistry;
import org.springframework.web.servlet.config.annotation.WebMvcConfigurer;
import tools.jackson.databind.cfg.CoercionAction;
import tools.jackson.databind.cfg.CoercionInputShape;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.type.LogicalType;

/** What the HTTP interface needs of Spring and Tomcat. */
@Configuration(proxyBeanMethods = false)
class ApiConfiguration {

    /** For connections; the rest is for the agent, what it lends, and the requests that it works on. */
    private static final double SHARE_OF_HEAP = 0.35;

    @Bean
    WallClock wallClock(Clock clock) {
        return new WallClock(Ticker.boottime(), clock);
    }

    /** Text is whole text: {@code "name": 7} is a mistake, not a name. (Numbers and booleans: see application.yaml.) */
    @Bean
    JsonMapperBuilderCustomizer strictText() {
        return builder -> builder.addModule(WholeText.module()).withCoercionConfig(LogicalType.Textual, config -> {
            config.setCoercion(CoercionInputShape.Integer, CoercionAction.Fail);
            config.setCoercion(CoercionInputShape.Float, CoercionAction.Fail);
            config.setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail);
        });
    }

    /**
     * JSON is the only language spoken. The API's description brings a YAML mapper along, and Spring would take YAML in and
     * out with it: lenient, past all that makes our JSON strict.
     */
    @Bean
    ServerHttpMessageConvertersCustomizer noYaml() {
        return converters -> converters.configureMessageConvertersList(all ->
                all.removeIf(converter -> converter.getSupportedMediaTypes().stream()
                        .anyMatch(type -> type.includes(MediaType.APPLICATION_YAML) && !type.isWildcardType())));
    }

    @Bean
    WebMvcConfigurer web(JsonMapper json) {
        return new WebMvcConfigurer() {
            @Override
            public void addInterceptors(InterceptorRegistry registry) {
                registry.addInterceptor(new NoBody(json));
                registry.addInterceptor(new KnownParameters());
            }

            @Override
            public void addViewControllers(ViewControllerRegistry registry) {
                registry.addRedirectViewController("/swagger-ui", "/swagger-ui.html");
            }
        };
    }

    @Bean
    FilterRegistrationBean<RequestSizeFilter> requestSizeFilter(
            JsonMapper json, @Value("${looplease.max-request-size:1MB}") DataSize most) {
        var registration = new FilterRegistrationBean<>(new RequestSizeFilter(most.toBytes(), new ProblemWriter(json)));
        registration.setOrder(Ordered.HIGHEST_PRECEDENCE + 10);
        return registration;
    }

    @Bean
    FilterRegistrationBean<WholeAnswerFilter> wholeAnswerFilter() {
        var registration = new FilterRegistrationBean<>(new WholeAnswerFilter());
        registration.setOrder(Ordered.HIGHEST_PRECEDENCE);
        return registration;
    }

    @Bean
    PhaseGate phaseGate(LoopService service, JsonMapper json) {
        return new PhaseGate(service, new ProblemWriter(json));
    }

    @Bean
    FilterRegistrationBean<PhaseGate> phaseGateRegistration(PhaseGate gate) {
        var registration = new FilterRegistrationBean<>(gate);
        registration.setOrder(Ordered.HIGHEST_PRECEDENCE);
        return registration;
    }

    /** After the agent has been told to stop, and before the port closes: whoever is inside gets an answer. */
    @Bean
    ApplicationListener<ContextClosedEvent> finishRequests(PhaseGate gate) {
        return new FinishRequests(gate);
    }

    @Order(Ordered.HIGHEST_PRECEDENCE + 10)
    private record FinishRequests(PhaseGate gate) implements ApplicationListener<ContextClosedEvent> {

        private static final Duration PATIENCE = Duration.ofSeconds(6);

        @Override
        public void onApplicationEvent(ContextClosedEvent closed) {
            try {
                gate.awaitEmpty(PATIENCE);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Bean
    WebServerFactoryCustomizer<TomcatServletWebServerFactory> requestBounds() {
        return new RequestBounds(SHARE_OF_HEAP);
    }

    /** What Tomcat refuses before any servlet sees it is answered with a problem document too. */
    @Bean
    WebServerFactoryCustomizer<TomcatServletWebServerFactory> problemsFromTomcat() {
        return factory -> factory.addContextCustomizers(context -> {
            if (context.getParent() instanceof StandardHost host) {
                host.setErrorReportValveClass(ProblemReportValve.class.getName());
            }
        });
    }
}
