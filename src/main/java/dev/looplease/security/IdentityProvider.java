package dev.looplease.security;

import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.springframework.boot.context.properties.source.InvalidConfigurationPropertyValueException;
import org.springframework.boot.security.oauth2.server.resource.autoconfigure.OAuth2ResourceServerProperties;
import org.springframework.core.io.Resource;
import org.springframework.security.authentication.AuthenticationManager;
import org.springframework.security.converter.RsaKeyConverters;
import org.springframework.security.oauth2.core.OAuth2Error;
import org.springframework.security.oauth2.core.OAuth2ErrorCodes;
import org.springframework.security.oauth2.core.OAuth2TokenValidator;
import org.springframework.security.oauth2.core.OAuth2TokenValidatorResult;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimNames;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtIssuerValidator;
import org.springframework.security.oauth2.jwt.JwtTimestampValidator;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.oauth2.jwt.SupplierJwtDecoder;
import org.springframework.security.oauth2.server.resource.authentication.JwtAuthenticationProvider;
import org.springframework.util.StringUtils;

/**
 * The identity provider whose signed tokens (JWT) count, if there is one, by Spring Boot's own settings. Boot's beans for
 * it stand under conditions, and those are decided when an image is built, before anybody has set anything.
 */
final class IdentityProvider {

    private static final String PREFIX = "spring.security.oauth2.resourceserver.jwt.";

    private final Optional<AuthenticationManager> tokens;

    /** @param reader tells who a token's owner is, once it is known to be genuine */
    IdentityProvider(OAuth2ResourceServerProperties.Jwt settings, SignedTokens reader) {
        this.tokens = decoder(settings).map(decoder -> {
            JwtAuthenticationProvider provider = new JwtAuthenticationProvider(decoder);
            provider.setJwtAuthenticationConverter(reader);
            return provider::authenticate;
        });
    }

    /** What checks its tokens; empty where no provider is configured. */
    Optional<AuthenticationManager> tokens() {
        return tokens;
    }

    /** Of several settings the one counts that leaves least to find out, as Boot has it. */
    private static Optional<JwtDecoder> decoder(OAuth2ResourceServerProperties.Jwt settings) {
        String keys = settings.getJwkSetUri();
        String issuer = settings.getIssuerUri();
        Resource key = settings.getPublicKeyLocation();
        if (StringUtils.hasText(keys)) {
            return Optional.of(checked(
                    NimbusJwtDecoder.withJwkSetUri(keys)
                            .jwsAlgorithms(all -> all.addAll(algorithms(settings)))
                            .build(),
                    settings));
        }
        if (StringUtils.hasText(issuer)) {
            // Asked for its keys when the first token comes: the agent starts without it.
            return Optional.of(new SupplierJwtDecoder(
                    () -> checked(NimbusJwtDecoder.withIssuerLocation(issuer).build(), settings)));
        }
        if (key != null) {
            return Optional.of(checked(withKey(key, algorithms(settings)), settings));
        }
        return Optional.empty();
    }

    private static NimbusJwtDecoder withKey(Resource location, List<SignatureAlgorithm> algorithms) {
        if (algorithms.size() != 1) {
            throw new InvalidConfigurationPropertyValueException(
                    PREFIX + "jws-algorithms", algorithms, "With public-key-location there must be one.");
        }
        try (InputStream key = location.getInputStream()) {
            return NimbusJwtDecoder.withPublicKey(
                            Objects.requireNonNull(RsaKeyConverters.x509().convert(key)))
                    .signatureAlgorithm(algorithms.getFirst())
                    .build();
        } catch (IOException | IllegalArgumentException e) {
            throw new InvalidConfigurationPropertyValueException(
                    PREFIX + "public-key-location", location, "No RSA key in PEM can be read there.", e);
        }
    }

    private static List<SignatureAlgorithm> algorithms(OAuth2ResourceServerProperties.Jwt settings) {
        return settings.getJwsAlgorithms().stream()
                .map(name -> Optional.ofNullable(SignatureAlgorithm.from(name))
                        .orElseThrow(() -> new InvalidConfigurationPropertyValueException(
                                PREFIX + "jws-algorithms", name, "There is no such algorithm.")))
                .toList();
    }

    private static NimbusJwtDecoder checked(NimbusJwtDecoder decoder, OAuth2ResourceServerProperties.Jwt settings) {
        List<OAuth2TokenValidator<Jwt>> claims = new ArrayList<>();
        if (StringUtils.hasText(settings.getIssuerUri())) {
            claims.add(new JwtIssuerValidator(settings.getIssuerUri()));
        }
        if (!settings.getAudiences().isEmpty()) {
            claims.add(new JwtClaimValidator<List<String>>(
                    JwtClaimNames.AUD, named -> !Collections.disjoint(named, settings.getAudiences())));
        }
        // One without an end could never be taken back.
        JwtTimestampValidator times = new JwtTimestampValidator();
        times.setAllowEmptyExpiryClaim(false);
        claims.add(times);
        claims.add(IdentityProvider::refuseBoundToAKey);
        decoder.setJwtValidator(JwtValidators.createDefaultWithValidators(claims));
        return decoder;
    }

    /** Such a token (DPoP, RFC 9449) is worth nothing without a proof of that key, which nobody is asked for here. */
    private static OAuth2TokenValidatorResult refuseBoundToAKey(Jwt token) {
        return token.getClaims().get("cnf") instanceof Map<?, ?> bound && bound.containsKey("jkt")
                ? OAuth2TokenValidatorResult.failure(new OAuth2Error(OAuth2ErrorCodes.INVALID_TOKEN))
                : OAuth2TokenValidatorResult.success();
    }
}
