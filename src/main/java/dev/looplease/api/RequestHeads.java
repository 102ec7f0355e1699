package dev.looplease.api;

import jakarta.servlet.ServletException;
import java.io.IOException;
import java.util.Enumeration;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.valves.ValveBase;
import org.apache.tomcat.util.http.MimeHeaders;
import org.springframework.boot.tomcat.servlet.TomcatServletWebServerFactory;
import org.springframework.boot.web.server.WebServerFactoryCustomizer;
import org.springframework.http.HttpHeaders;
import org.springframework.stereotype.Component;

/**
 * Mends in the head of a request what those behind would trip over, on the management server's port too: this is found by
 * the scan and in {@code META-INF/spring/….ManagementContextConfiguration.imports}.
 */
@Component
class RequestHeads implements WebServerFactoryCustomizer<TomcatServletWebServerFactory> {

    @Override
    public void customize(TomcatServletWebServerFactory factory) {
        factory.addEngineValves(new HeadValve());
        // Or Tomcat would refuse it, with the methods that any servlet has. See below: none ever gets it.
        factory.addConnectorCustomizers(connector -> connector.setAllowTrace(true));
    }

    private static final class HeadValve extends ValveBase {

        HeadValve() {
            super(true);
        }

        @Override
        public void invoke(Request request, Response response) throws IOException, ServletException {
            forgetEmptyAccept(request.getCoyoteRequest().getMimeHeaders());
            if ("TRACE".equals(request.getMethod())) {
                // A method that nobody knows: refused by whoever knows which ones there are at this path, and never
                // echoed.
                request.getCoyoteRequest().setMethod("trace");
            }
            getNext().invoke(request, response);
        }

        /**
         * An Accept without a media type asks for nothing in particular, as none does (RFC 9110, 12.5.1 and 5.6.1). Spring
         * Boot's endpoints would choose no format at all, and fail.
         */
        private static void forgetEmptyAccept(MimeHeaders headers) {
            Enumeration<String> values = headers.values(HttpHeaders.ACCEPT);
            if (!values.hasMoreElements()) {
                return;
            }
            while (values.hasMoreElements()) {
                if (!values.nextElement().chars().allMatch(c -> c == ',' || c == ' ' || c == '\t')) {
                    return;
                }
            }
            headers.removeHeader(HttpHeaders.ACCEPT);
        }
    }
}
