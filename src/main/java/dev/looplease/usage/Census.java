package dev.looplease.usage;

import dev.looplease.posix.Posix;
import dev.looplease.posix.PosixException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The processes of the host and the mount namespaces that they live in, the agent's own first. A thread may have a
 * namespace of its own; only those of whole processes are looked at.
 */
record Census(List<Dweller> processes, List<MountNamespace> namespaces) {

    /**
     * A process, in its mount namespace.
     *
     * @param pid its number
     * @param namespace the key of its mount namespace
     * @param root its root directory from the namespace's root
     */
    record Dweller(long pid, String namespace, String root) {

        private static final String GUARDED = "of process ";

        /** One whose namespace may not be looked up. */
        static Dweller guarded(long pid) {
            return new Dweller(pid, GUARDED + pid, "/");
        }

        boolean isGuarded() {
            return namespace.startsWith(GUARDED);
        }
    }

    static Census take(HostTree tree) throws IOException {
        long self = Long.parseLong(HostTree.utf8(Posix.readlink(tree.proc().resolve("self"))));
        List<Dweller> processes = new ArrayList<>();
        processes.add(process(tree, self).orElseThrow(() -> new IOException("this process is not in " + tree.proc())));
        for (String name : HostTree.names(tree.proc())) {
            if (Character.isDigit(name.charAt(0)) && Long.parseLong(name) != self) {
                process(tree, Long.parseLong(name)).ifPresent(processes::add);
            }
        }
        Map<String, List<Dweller>> dwellers = new LinkedHashMap<>();
        for (Dweller process : processes) {
            dwellers.computeIfAbsent(process.namespace(), key -> new ArrayList<>())
                    .add(process);
        }
        List<MountNamespace> namespaces = new ArrayList<>();
        Set<Long> known = new HashSet<>();
        for (List<Dweller> candidates : guardedLast(dwellers.values())) {
            namespace(tree, candidates, candidates.contains(processes.getFirst()))
                    .filter(namespace -> !known.containsAll(ids(namespace)))
                    .ifPresent(namespace -> {
                        known.addAll(ids(namespace));
                        namespaces.add(namespace);
                    });
        }
        return new Census(List.copyOf(processes), List.copyOf(namespaces));
    }

    /**
     * A guarded process cannot be followed into its namespace. Where others live there too, one of them must stand for
     * it, or its mounts would be seen and never ended.
     */
    static List<List<Dweller>> guardedLast(Collection<List<Dweller>> groups) {
        return groups.stream()
                .sorted(Comparator.comparing(group -> group.getFirst().isGuarded()))
                .toList();
    }

    /** Mount ids are the host's, so that the same ids are the same namespace, under whatever key. */
    private static List<Long> ids(MountNamespace namespace) {
        return namespace.mounts().stream().map(Mount::id).toList();
    }

    private static Optional<Dweller> process(HostTree tree, long pid) throws IOException {
        try {
            return Optional.of(new Dweller(
                    pid,
                    HostTree.utf8(Posix.readlink(tree.process(pid, "ns/mnt"))),
                    HostTree.utf8(Posix.readlink(tree.process(pid, "root")))));
        } catch (PosixException e) {
            if (HostTree.gone(e)) {
                return Optional.empty();
            }
            requireTracing(tree, e);
            // Its mounts may be read even so, and tell whether it lives where another does.
            return Optional.of(Dweller.guarded(pid));
        }
    }

    /**
     * A process whose links may not be read, in spite of CAP_SYS_PTRACE, is guarded by a security module or by a parent
     * user namespace, and out of every agent's reach: it is passed over. Without the capability most processes would be,
     * and "nobody uses it" a lie: that is an error.
     */
    static void requireTracing(HostTree tree, PosixException denied) throws IOException {
        if (!HostTree.denied(denied) || !mayTrace(tree.process(selfPid(tree), "status"))) {
            throw denied;
        }
    }

    private static long selfPid(HostTree tree) throws IOException {
        return Long.parseLong(HostTree.utf8(Posix.readlink(tree.proc().resolve("self"))));
    }

    private static boolean mayTrace(Path status) throws IOException {
        int capSysPtrace = 19;
        return HostTree.utf8(HostTree.read(status))
                .lines()
                .filter(line -> line.startsWith("CapEff:"))
                .anyMatch(line -> (Long.parseUnsignedLong(line.substring(7).strip(), 16) >> capSysPtrace & 1) == 1);
    }

    /** mountinfo leaves out what lies outside its process's root: a process that sees everything comes first. */
    private static Optional<MountNamespace> namespace(HostTree tree, List<Dweller> dwellers, boolean own)
            throws IOException {
        List<Dweller> best = dwellers.stream()
                .sorted(Comparator.comparingInt(process -> process.root().length()))
                .toList();
        for (Dweller process : best) {
            try {
                List<Mount> mounts = Mount.parseAll(HostTree.read(tree.process(process.pid(), "mountinfo")));
                return Optional.of(new MountNamespace(
                        process.namespace(), process.pid(), own, process.root().equals("/"), mounts));
            } catch (PosixException e) {
                if (!HostTree.gone(e)) {
                    throw e;
                }
            }
        }
        return Optional.empty();
    }

    Optional<MountNamespace> namespaceOf(Dweller process) {
        return namespaces.stream()
                .filter(namespace -> namespace.key().equals(process.namespace()))
                .findFirst();
    }

    MountNamespace ownNamespace() {
        return namespaces.getFirst();
    }
}
