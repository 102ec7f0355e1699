package dev.looplease.api;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.tomcat.util.net.SocketWrapperBase;

/**
 * The connections with half the head of a request, of which only so many may be. Such a one takes no thread, but six times
 * the memory of an idle one: buffers, and whatever fields have come. A head that comes in one packet, as most do, is never
 * one of them.
 */
final class HalfHeads {

    private final Set<SocketWrapperBase<?>> connections = ConcurrentHashMap.newKeySet();

    /** Whether that one may be among them. */
    boolean admit(SocketWrapperBase<?> connection, int most) {
        if (connections.size() >= most) {
            // Of those that were closed meanwhile, by their client or their time-out, nobody tells.
            connections.removeIf(SocketWrapperBase::isClosed);
        }
        return connections.size() < most && connections.add(connection);
    }

    /** More of it has come: that is looked at first. */
    void forget(SocketWrapperBase<?> connection) {
        connections.remove(connection);
    }
}
