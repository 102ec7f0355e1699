package dev.looplease.acceptance;

import static java.util.Objects.requireNonNull;

import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * Somebody who makes, renews, detaches, returns and forgets devices as it comes, and remembers what was answered: what
 * the agent owes him is what was promised, whoever was killed since. For one thread.
 */
final class ChaosClient {

    private static final int MOST_DEVICES = 12;
    private static final int SHORT_TTL = 1;
    private static final int LONG_TTL = 12;

    private final int number;
    private final Random random;
    private final Path files;
    private final Map<String, Held> devices = new HashMap<>();
    private final Map<String, Promise> leases = new HashMap<>();
    private final Set<String> returned = new HashSet<>();
    private final List<String> complaints = new ArrayList<>();
    private final List<String> lost = new ArrayList<>();
    private @Nullable Making unanswered;
    private int keys;
    private int made;

    /** A device that was answered. */
    private record Held(String id, String lease, boolean ownLease) {}

    /** A lease that was answered. */
    private static final class Promise {
        /** It cannot have ended before: {@link System#nanoTime()}. */
        private long until;

        private boolean ending;
    }

    private record Making(
            String path,
            String body,
            String key,
            int ttlSeconds,
            @Nullable String joined) {}

    /** @param files an image root of the agent's */
    ChaosClient(int number, long seed, Path files) {
        this.number = number;
        this.random = new Random(seed * 31 + number);
        this.files = files;
    }

    int made() {
        return made;
    }

    /** What no agent may answer, in words. */
    List<String> complaints() {
        return complaints;
    }

    /** Leases that were over before their time. */
    List<String> lost() {
        return lost;
    }

    /** Devices that were given back, which was confirmed. */
    Set<String> returned() {
        return returned;
    }

    /** Devices that must still be there if the agent stood still at that moment, and until when at least. */
    Map<String, Long> owed(long at) {
        Map<String, Long> owed = new HashMap<>();
        for (Held device : devices.values()) {
            Promise lease = leases.get(device.lease());
            if (lease != null && !lease.ending && lease.until > at) {
                owed.put(device.id(), lease.until);
            }
        }
        return owed;
    }

    /** Asks for one thing after the other, until nobody answers any more. */
    void run(Agent agent) {
        try {
            while (true) {
                next(agent);
            }
        } catch (UncheckedIOException killed) {
            forgetWhatMayHaveEnded();
        }
    }

    private void forgetWhatMayHaveEnded() {
        long now = System.nanoTime();
        leases.values().removeIf(lease -> lease.ending || lease.until < now);
        devices.values().removeIf(device -> !leases.containsKey(device.lease()));
    }

    private void next(Agent agent) {
        if (unanswered != null) {
            make(agent, unanswered);
            return;
        }
        forgetWhatMayHaveEnded();
        int dice = random.nextInt(100);
        if (devices.size() >= MOST_DEVICES || dice < 20) {
            giveBack(agent);
        } else if (dice < 50) {
            make(agent, one());
        } else if (dice < 60) {
            make(agent, group());
        } else if (dice < 90) {
            renew(agent);
        } else if (dice < 95) {
            detachAndAttach(agent);
        } else {
            endLease(agent);
        }
    }

    private int ttl() {
        return random.nextBoolean() ? SHORT_TTL : SHORT_TTL + random.nextInt(LONG_TTL);
    }

    private String key() {
        return "client-" + number + "-" + ++keys;
    }

    private Making one() {
        String key = key();
        Map<String, Object> body = new HashMap<>(Map.of("sizeMb", 1 + random.nextInt(3), "labels", Map.of("key", key)));
        List<String> groups = leases.entrySet().stream()
                .filter(lease -> devices.values().stream()
                        .noneMatch(device -> device.ownLease() && device.lease().equals(lease.getKey())))
                .map(Map.Entry::getKey)
                .sorted()
                .toList();
        int ttl = ttl();
        String joined = !groups.isEmpty() && random.nextInt(3) == 0 ? groups.get(random.nextInt(groups.size())) : null;
        if (joined == null) {
            body.put("ttlSeconds", ttl);
        } else {
            body.put("leaseId", joined);
        }
        if (random.nextInt(4) == 0) {
            body.put("imagePath", files.resolve(key + ".raw").toString());
        }
        if (random.nextInt(4) == 0) {
            body.put("sectorSize", 4096);
        }
        return new Making("/loop-devices", Agent.json(body), key, ttl, joined);
    }

    private Making group() {
        String key = key();
        int ttl = ttl();
        List<Object> wanted = new ArrayList<>();
        for (int i = random.nextInt(4); i > 0; i--) {
            wanted.add(Map.of("sizeMb", 1, "labels", Map.of("key", key + "/" + i)));
        }
        return new Making("/leases", Agent.json(Map.of("ttlSeconds", ttl, "devices", wanted)), key, ttl, null);
    }

    private void make(Agent agent, Making making) {
        unanswered = making;
        long sent = System.nanoTime();
        Answer answer = agent.send("POST", making.path(), making.body(), "Idempotency-Key", making.key());
        unanswered = null;
        switch (answer.status()) {
            case 201, 200 -> made(making, answer, sent);
            // The lease that it was to join, or what was made before the crash, has ended meanwhile.
            case 410, 404 -> {}
            default -> complain(answer);
        }
    }

    private void made(Making making, Answer answer, long sent) {
        boolean isGroup = making.path().equals("/leases");
        List<JsonNode> all = isGroup ? answer.list("devices") : List.of(answer.json());
        String lease = isGroup ? answer.id() : answer.leaseId();
        if (answer.status() == 201) {
            made += all.size();
        }
        if (making.joined() == null && answer.status() == 201) {
            leases.computeIfAbsent(lease, id -> new Promise()).until = sent + nanos(making.ttlSeconds());
        } else if (making.joined() == null) {
            // Made by an agent that was killed, and so given a grace that is over by now or not.
            leases.computeIfAbsent(lease, id -> new Promise()).until = sent;
        }
        for (JsonNode device : all) {
            devices.put(
                    device.path("id").asString(),
                    new Held(device.path("id").asString(), lease, !isGroup && making.joined() == null));
        }
    }

    private void renew(Agent agent) {
        String id = any(leases.keySet());
        if (id == null) {
            return;
        }
        Promise lease = requireNonNull(leases.get(id));
        int ttl = ttl();
        long sent = System.nanoTime();
        long before = lease.until;
        // If it is not answered it may count, or not.
        lease.until = Math.min(before, sent + nanos(ttl));
        Answer answer = agent.renew(id, "ttlSeconds", ttl);
        if (answer.status() == 200) {
            lease.until = sent + nanos(ttl);
        } else if (answer.status() == 410) {
            if (before > System.nanoTime()) {
                lost.add(answer.request() + " answered " + answer.body());
            }
            leases.remove(id);
        } else {
            complain(answer);
        }
    }

    private void giveBack(Agent agent) {
        String id = any(devices.keySet());
        if (id == null) {
            return;
        }
        Held device = requireNonNull(devices.remove(id));
        if (device.ownLease()) {
            leases.remove(device.lease());
        }
        Answer answer = agent.delete(id);
        if (answer.status() == 204) {
            returned.add(id);
        } else if (answer.status() != 404 && answer.status() != 409) {
            // 404: ended before a restart. 409: a prober of the host's, udev, had it open.
            complain(answer);
        }
    }

    private void endLease(Agent agent) {
        String id = any(leases.keySet());
        if (id == null) {
            return;
        }
        requireNonNull(leases.get(id)).ending = true;
        Answer answer = agent.endLease(id);
        if (answer.status() == 204) {
            devices.values().stream()
                    .filter(device -> device.lease().equals(id))
                    .map(Held::id)
                    .forEach(returned::add);
        } else if (answer.status() != 202 && answer.status() != 404) {
            complain(answer);
        }
    }

    private void detachAndAttach(Agent agent) {
        String id = any(devices.keySet());
        if (id == null) {
            return;
        }
        for (Answer answer : new Answer[] {agent.detach(id), agent.attach(id)}) {
            if (!Set.of(200, 404, 409, 410).contains(answer.status())) {
                complain(answer);
            }
        }
    }

    private void complain(Answer answer) {
        complaints.add(
                "client " + number + ": " + answer.request() + " answered " + answer.status() + " " + answer.body());
    }

    private @Nullable String any(Set<String> ids) {
        if (ids.isEmpty()) {
            return null;
        }
        List<String> sorted = new ArrayList<>(ids);
        Collections.sort(sorted);
        return sorted.get(random.nextInt(sorted.size()));
    }

    private static long nanos(int seconds) {
        return seconds * 1_000_000_000L;
    }
}
