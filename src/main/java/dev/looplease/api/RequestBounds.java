package dev.looplease.api;

import org.apache.coyote.http11.AbstractHttp11Protocol;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;

/**
 * What all who are connected to a server can take of its threads and of the heap, whatever they send: an agent whose memory
 * runs out ends.
 */
final class RequestBounds implements WebServerFactoryCustomizer<TomcatServletWebServerFactory> {

    private static final int MOST_BYTES_BESIDE_CHUNKS = 16;

    /** More than the head of most requests; what is longer is read in pieces. Tomcat takes 8 KB for each connection. */
    private static final String READ_BUFFER_BYTES = "2048";

    /** Of the heap, for an idle connection. */
    private static final int CONNECTION_BYTES = 11 * 1024;

    /** The same with TLS, from its first byte on. */
    private static final int TLS_CONNECTION_BYTES = 64 * 1024;

    private final double shareOfHeap;

    RequestBounds(double shareOfHeap) {
        this.shareOfHeap = shareOfHeap;
    }

    @Override
    public void customize(TomcatServletWebServerFactory factory) {
        factory.setProtocol(PromptHttpProtocol.class.getName());
        factory.addEngineValves(new BodyValve(new SlowSenders()));
        factory.addConnectorCustomizers(connector -> {
            connector.setProperty("socket.appReadBufSize", READ_BUFFER_BYTES);
            if (connector.getProtocolHandler() instanceof AbstractHttp11Protocol<?> http) {
                // Nobody sends either on purpose, and while one arrives a thread waits for it.
                http.setMaxExtensionSize(MOST_BYTES_BESIDE_CHUNKS);
                http.setMaxTrailerSize(MOST_BYTES_BESIDE_CHUNKS);
                http.setMaxConnections(mostConnections(http));
            }
        });
    }

    private int mostConnections(AbstractHttp11Protocol<?> http) {
        int each = http.isSSLEnabled() ? TLS_CONNECTION_BYTES : CONNECTION_BYTES;
        int room = (int) (shareOfHeap * Runtime.getRuntime().maxMemory() / each);
        int wanted = http.getMaxConnections();
        return wanted < 0 ? room : Math.min(wanted, room);
    }
}
