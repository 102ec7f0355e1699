package dev.looplease;

import dev.looplease.journal.StateDirectory;
import org.springframework.beans.factory.annotation.Qualifier;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.stereotype.Component;

/**
 * Where Tomcat may keep what it wants a directory for: in the state directory, where the next start finds it again. Left to
 * Spring Boot, each start makes two in the temporary directory, and a killed agent leaves them there. No file is served from
 * it, nor from any other directory: Boot would serve what lies in {@code public}, {@code static} or {@code src/main/webapp}
 * wherever the agent happens to be started.
 *
 * <p>Tomcat makes it before it asks for anything else of ours, so this needs the lock: it is the state directory's first use.
 *
 * <p>Found twice, by the scan and in {@code META-INF/spring/….ManagementContextConfiguration.imports}: a management server
 * with a port of its own is customized by its own context's beans only. Where the contexts are one, the scanned bean is it.
 */
@Component
class TomcatDirectory implements WebServerFactoryCustomizer<TomcatServletWebServerFactory> {

    private final StateDirectory stateDirectory;

    TomcatDirectory(@Qualifier("stateDirectory") StateDirectory stateDirectory) {
        this.stateDirectory = stateDirectory;
    }

    @Override
    public void customize(TomcatServletWebServerFactory factory) {
        factory.setBaseDirectory(stateDirectory.path().resolve("tomcat").toFile());
        // Looked at by Boot alone, which makes and searches no other then; Tomcat is told of none.
        factory.setDocumentRoot(stateDirectory.path().toFile());
        factory.addContextCustomizers(context -> context.setDocBase(null));
    }
}
