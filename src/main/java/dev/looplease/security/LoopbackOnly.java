package dev.looplease.security;

import java.net.InetAddress;
import org.jspecify.annotations.Nullable;
import org.springframework.beans.factory.config.BeanFactoryPostProcessor;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.boot.actuate.autoconfigure.web.server.ManagementPortType;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.context.EnvironmentAware;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/**
 * Where nobody is asked for a token, whoever reaches the agent can use it: it then listens on a loopback address and
 * refuses to start on any other. Checked before any bean is made: a refused agent has touched nothing.
 */
@Component
class LoopbackOnly implements BeanFactoryPostProcessor, EnvironmentAware {

    private static final String AUTH = "looplease.auth";

    private @Nullable Environment environment;

    @Override
    public void setEnvironment(Environment environment) {
        this.environment = environment;
    }

    @Override
    public void postProcessBeanFactory(ConfigurableListableBeanFactory beanFactory) {
        if (environment == null) {
            throw new IllegalStateException("no environment");
        }
        Binder settings = Binder.get(environment);
        // Bound as it will be later: "NONE ", say, means the same.
        if (settings.bind(AUTH, AccessProperties.Auth.class).orElse(null) != AccessProperties.Auth.NONE) {
            return;
        }
        check(settings, "server.address", true);
        // Without an address of its own, a separate management port listens on every address, whatever server.address
        // is.
        boolean ownPort = ManagementPortType.get(environment) == ManagementPortType.DIFFERENT;
        check(settings, "management.server.address", ownPort);
    }

    private static void check(Binder settings, String property, boolean required) {
        InetAddress address = settings.bind(property, InetAddress.class).orElse(null);
        boolean loopback = address == null ? !required : address.isLoopbackAddress();
        if (!loopback) {
            throw new NotLoopbackException(property, address == null ? "every address" : address.getHostAddress());
        }
    }

    /** Refused, with what to do instead. */
    static final class NotLoopbackException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NotLoopbackException(String property, String address) {
            super(property + " is " + address + ", but with " + AUTH
                    + "=none whoever reaches this agent can use it, so it"
                    + " listens on loopback only. Set it to 127.0.0.1 or ::1, or ask for tokens: " + AUTH + "=token.");
        }
    }
}
