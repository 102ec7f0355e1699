package dev.looplease.security;

import java.net.InetAddress;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The names by which the agent may be called: loopback's, the host's own, the address that it listens on, and those that
 * the operator adds. Nothing is looked up in DNS: that is what an attacker would answer.
 */
final class OwnNames {

    private final Set<String> names = new HashSet<>();

    /**
     * @param address what the agent listens on; null for every address
     * @param hostName the host's own; its first label is a name too
     */
    OwnNames(@Nullable InetAddress address, String hostName, List<String> added) {
        names.add("localhost");
        if (address != null) {
            names.add(bare(address.getHostAddress()));
        }
        String own = bare(hostName);
        names.add(own);
        names.add(own.split("\\.", 2)[0]);
        added.forEach(name -> names.add(bare(name)));
        names.remove("");
    }

    /**
     * Whether it is one of them, or the address that the connection was made to: a name can be made to lead anywhere, an
     * address cannot.
     *
     * @param name as {@link #bare} makes it
     * @param connectedTo the agent's end of the connection
     */
    boolean contain(String name, @Nullable String connectedTo) {
        return names.contains(name)
                || name.endsWith(".localhost")
                || isLoopback(name)
                || (connectedTo != null && isAddress(name) && sameAddress(name, bare(connectedTo)));
    }

    /** The host in what a Host header says, {@code host:port}. */
    static String hostOf(String authority) {
        int colon = authority.lastIndexOf(':');
        return colon > authority.lastIndexOf(']') ? authority.substring(0, colon) : authority;
    }

    /** Lower case, without the brackets and zone of an IPv6 address, and without the dot of a complete name. */
    static String bare(String name) {
        String bare = name.strip().toLowerCase(Locale.ROOT);
        if (bare.startsWith("[") && bare.endsWith("]")) {
            bare = bare.substring(1, bare.length() - 1);
        }
        int zone = bare.indexOf('%');
        bare = zone < 0 ? bare : bare.substring(0, zone);
        return bare.endsWith(".") ? bare.substring(0, bare.length() - 1) : bare;
    }

    private static boolean isLoopback(String name) {
        return isAddress(name) && parse(name).isLoopbackAddress();
    }

    private static boolean sameAddress(String one, String other) {
        return isAddress(other) && parse(one).equals(parse(other));
    }

    private static boolean isAddress(String name) {
        try {
            parse(name);
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    /** Of a literal alone; unlike getByName it never asks DNS. */
    private static InetAddress parse(String literal) {
        return InetAddress.ofLiteral(literal);
    }
}
