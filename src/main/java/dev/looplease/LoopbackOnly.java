package dev.looplease;

import java.net.InetAddress;
import org.jspecify.annotations.Nullable;
import org.springframework.beans.factory.config.BeanFactoryPostProcessor;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.EnvironmentAware;
import org.springframework.core.env.Environment;
import org.springframework.stereotype.Component;

/**
 * Whoever reaches the agent can use it, so it listens on a loopback address and refuses to start on any other. Checked
 * before any bean is made: a refused agent has touched nothing.
 */
@Component
class LoopbackOnly implements BeanFactoryPostProcessor, EnvironmentAware {

    private @Nullable Environment environment;

    @Override
    public void setEnvironment(Environment environment) {
        this.environment = environment;
    }

    @Override
    public void postProcessBeanFactory(ConfigurableListableBeanFactory beanFactory) {
        check("server.address", true);
        check("management.server.address", false);
    }

    private void check(String property, boolean required) {
        if (environment == null) {
            throw new IllegalStateException("no environment");
        }
        InetAddress address = environment.getProperty(property, InetAddress.class);
        boolean loopback = address == null ? !required : address.isLoopbackAddress();
        if (!loopback) {
            throw new NotLoopbackException(property, address == null ? "every address" : address.getHostAddress());
        }
    }

    /** Refused, with what to do instead. */
    static final class NotLoopbackException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        NotLoopbackException(String property, String address) {
            super(property + " is " + address + ", but this agent has no authentication and listens on loopback only."
                    + " Set it to 127.0.0.1 or ::1, and reach it through an SSH tunnel or an authenticating proxy.");
        }
    }
}
