package dev.looplease.security;

import dev.looplease.journal.StateDirectory;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.security.oauth2.server.resource.autoconfigure.OAuth2ResourceServerProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.annotation.web.configurers.AbstractHttpConfigurer;
import org.springframework.security.config.observation.SecurityObservationSettings;
import org.springframework.security.oauth2.server.resource.web.authentication.BearerTokenAuthenticationFilter;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.access.intercept.AuthorizationFilter;
import org.springframework.security.web.authentication.AnonymousAuthenticationFilter;
import org.springframework.security.web.context.NullSecurityContextRepository;
import org.springframework.security.web.firewall.StrictHttpFirewall;
import org.springframework.security.web.util.matcher.NegatedRequestMatcher;
import org.springframework.web.servlet.HandlerExceptionResolver;

/** Puts the door together: everything but {@link OpenPaths} needs to know who asks. */
@Configuration(proxyBeanMethods = false)
@EnableConfigurationProperties({AccessProperties.class, OAuth2ResourceServerProperties.class})
class SecurityConfiguration {

    private static final Logger log = LoggerFactory.getLogger(SecurityConfiguration.class);

    @Bean
    Callers callers(AccessProperties properties) {
        return new Callers(
                properties.quota().toQuota(), properties.othersVisible().sight());
    }

    @Bean
    IdentityProvider identityProvider(
            OAuth2ResourceServerProperties settings, AccessProperties properties, Callers callers) {
        return new IdentityProvider(settings.getJwt(), new SignedTokens(properties.jwt(), callers));
    }

    @Bean
    CredentialStore credentialStore(
            AccessProperties properties,
            Callers callers,
            Clock clock,
            IdentityProvider provider,
            @Qualifier("stateDirectory") StateDirectory state)
            throws IOException {
        Path named = properties.tokensFile();
        TokensFile file = new TokensFile(
                named == null ? state.path().resolve("tokens.yaml") : named, new TokensYaml(callers), clock);
        boolean configured = named != null
                || file.exists()
                || provider.tokens().isPresent()
                || properties.auth() == AccessProperties.Auth.NONE;
        if (named != null && !file.exists()) {
            throw new TokensFileException(named, "there is none. Make one, or take looplease.tokens-file away");
        }
        return new CredentialStore(
                file, new Credentials(configured ? List.of() : List.of(FirstToken.in(state.path(), callers))));
    }

    @Bean
    WrongTokens wrongTokens() {
        return new WrongTokens();
    }

    @Bean
    SecurityFilterChain door(
            HttpSecurity http,
            AccessProperties properties,
            Callers callers,
            CredentialStore credentials,
            IdentityProvider provider,
            WrongTokens wrongTokens,
            Clock clock,
            @Qualifier("handlerExceptionResolver") HandlerExceptionResolver problems) {
        Refusals refusals = new Refusals(problems, wrongTokens);
        http.securityMatcher(new NegatedRequestMatcher(new OpenPaths()))
                // No cookie ever says who asks, so there is no session, nothing that another site's page could use (the
                // guard against browsers keeps it out, client certificate or not), and nobody to log in or out.
                .csrf(AbstractHttpConfigurer::disable)
                .sessionManagement(AbstractHttpConfigurer::disable)
                .securityContext(context -> context.securityContextRepository(new NullSecurityContextRepository()))
                .requestCache(AbstractHttpConfigurer::disable)
                .logout(AbstractHttpConfigurer::disable)
                .anonymous(AbstractHttpConfigurer::disable)
                .headers(AbstractHttpConfigurer::disable)
                .exceptionHandling(handling -> handling.authenticationEntryPoint(refusals))
                .authorizeHttpRequests(requests -> requests.requestMatchers(OpenPaths::isHealth)
                        .permitAll()
                        .anyRequest()
                        .authenticated());
        if (properties.auth() == AccessProperties.Auth.NONE) {
            log.warn("Nobody is asked for a token (looplease.auth=none): whoever reaches the agent is an operator.");
            http.addFilterAt(
                    new Everybody(new CallerAuthentication(callers.anonymous())), AnonymousAuthenticationFilter.class);
        } else {
            BearerTokens tokens = new BearerTokens(credentials, provider.tokens(), clock);
            // Not by http.oauth2ResourceServer: that also answers /.well-known/oauth-protected-resource, to everybody.
            BearerTokenAuthenticationFilter bearer = new BearerTokenAuthenticationFilter(tokens, tokens);
            bearer.setAuthenticationEntryPoint(refusals);
            http.addFilterAt(bearer, BearerTokenAuthenticationFilter.class);
            http.addFilterBefore(
                    new ClientCertificates(credentials, clock, refusals), BearerTokenAuthenticationFilter.class);
        }
        http.addFilterAfter(new RequestRates(refusals, System::nanoTime), AuthorizationFilter.class);
        http.addFilterAfter(new AuditedCaller(), AnonymousAuthenticationFilter.class);
        return http.build();
    }

    /** The paths are its business; what is in headers and parameters is judged where it is used, with a reason. */
    @Bean
    StrictHttpFirewall strictHttpFirewall() {
        StrictHttpFirewall firewall = new StrictHttpFirewall();
        firewall.setUnsafeAllowAnyHttpMethod(true);
        firewall.setAllowedHeaderNames(name -> true);
        firewall.setAllowedHeaderValues(value -> true);
        firewall.setAllowedParameterNames(name -> true);
        return firewall;
    }

    /** A span for each of its filters, in each request, would cost more than all that they do. */
    @Bean
    SecurityObservationSettings noObservations() {
        return SecurityObservationSettings.noObservations();
    }
}
