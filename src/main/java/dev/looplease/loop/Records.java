package dev.looplease.loop;

import dev.looplease.journal.Durability;
import dev.looplease.journal.Journal;
import java.io.IOException;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What must survive kill -9: devices and leases in the journal, written before the effect that they announce and struck
 * out after it is undone.
 */
final class Records {

    private static final Logger log = LoggerFactory.getLogger(Records.class);

    private static final String DEVICE = "device/";
    private static final String LEASE = "lease/";
    private static final String ASIDE = "aside/";
    private static final String TAG = "looplease:";
    /** The journal's. */
    private static final int LONGEST_KEY = 255;

    private static final JsonMapper JSON = JsonMapper.builder()
            // A record of a newer version may know more.
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    private final Journal journal;
    private final String bootId;
    private final String agentId;
    private final Ticker ticker;
    private final Clock clock;

    /** What a stopped agent left. */
    record Remains(Map<String, DeviceRecord> devices, Map<String, LeaseRecord> leases, int setAside) {}

    /** @param agentId tells the attachments of this agent from those of others on the host; not from the journal, which
     *     may be lost while they stand */
    Records(Journal journal, String bootId, String agentId, Ticker ticker, Clock clock) {
        this.journal = journal;
        this.bootId = bootId;
        this.agentId = agentId;
        this.ticker = ticker;
        this.clock = clock;
    }

    /** Which run of the kernel this is. */
    String bootId() {
        return bootId;
    }

    /** What the kernel keeps beside our attachments: whose they are, two agents on one host told apart. */
    String tag(String deviceId) {
        return TAG + agentId + ":" + deviceId;
    }

    /** Whether an attachment is this agent's, whatever else is known of it. */
    boolean isOurs(String tag) {
        return tag.startsWith(TAG + agentId + ":");
    }

    /** Whether an attachment was made for that device. Ids are never reused, so it does not matter by which agent. */
    static boolean isTagOf(String deviceId, String tag) {
        return tag.startsWith(TAG) && tag.endsWith(":" + deviceId);
    }

    /** Records a device before anything of it is made. */
    void announce(ManagedLoop loop) {
        put(loop, loop.standing(), isElsewhere(loop) ? Durability.DISK : Durability.MEMORY);
    }

    /** Records how a device is going to stand. */
    void save(ManagedLoop loop, Standing standing) {
        put(loop, standing, Durability.MEMORY);
    }

    /**
     * Returns when a power cut would leave what is recorded of a device, if that matters. For a caller that holds no
     * monitor: the reaper, who may want the same device, must not wait for a disk.
     */
    void secure(ManagedLoop loop) {
        if (isElsewhere(loop)) {
            try {
                journal.sync();
            } catch (IOException e) {
                throw Failures.ofJournal(e);
            }
        }
    }

    /**
     * An image outside the images directory is no orphan that a name gives away after a power cut: its record is on the disk
     * before the file is, and before a client hears of it. What changes later need not be.
     */
    private static boolean isElsewhere(ManagedLoop loop) {
        return loop.ownsImage() && loop.spec().imagePath() != null;
    }

    private void put(ManagedLoop loop, Standing standing, Durability durability) {
        put(DEVICE + loop.id(), DeviceRecord.of(loop, standing, bootId), durability);
    }

    void save(Lease.Terms terms, Lease.Times times) {
        put(LEASE + terms.id(), record(terms, times), Durability.MEMORY);
    }

    /** Whether a device stands as that record says. */
    boolean isOnRecord(ManagedLoop loop, DeviceRecord record) {
        return record.equals(DeviceRecord.of(loop, loop.standing(), bootId));
    }

    private LeaseRecord record(Lease.Terms terms, Lease.Times times) {
        long remainingMillis = times.deadline() == Lease.NEVER ? 0 : (times.deadline() - ticker.nanos()) / 1_000_000;
        return new LeaseRecord(
                terms.id(),
                terms.owner(),
                terms.labels(),
                terms.onExpiry(),
                terms.createTime().toEpochMilli(),
                times.ttl() == null ? null : times.ttl().toSeconds(),
                terms.maxTtl() == null ? null : terms.maxTtl().toSeconds(),
                terms.ofDevice(),
                times.started(),
                times.deadline(),
                times.lastDeadline(),
                bootId,
                clock.millis() + remainingMillis,
                times.claimed(),
                terms.key());
    }

    private void put(String key, Object record, Durability durability) {
        try {
            journal.put(key, JSON.writeValueAsBytes(record), durability);
        } catch (IOException e) {
            throw Failures.ofJournal(e);
        }
    }

    void strikeDevice(String id) {
        strike(DEVICE + id);
    }

    void strikeLease(String id) {
        strike(LEASE + id);
    }

    /** What stays recorded although it is gone does no harm: recovery finds nothing to do for it. */
    private void strike(String key) {
        try {
            journal.remove(key, Durability.MEMORY);
        } catch (IOException e) {
            log.warn("{} could not be struck out of the journal: {}", key, e.getMessage());
        }
    }

    /** Where there is no room for that it stays where it is, and is reported again by the next start. */
    private void setAside(String key, byte[] value) {
        String aside = ASIDE + key;
        try {
            journal.put(aside.substring(0, Math.min(aside.length(), LONGEST_KEY)), value, Durability.MEMORY);
            Step.RECOVERY_SET_ASIDE.reached();
            journal.remove(key, Durability.MEMORY);
        } catch (IOException e) {
            log.warn("{} could not be set aside: {}", key, e.getMessage());
        }
    }

    /** Reads what is there; a record that means nothing is set aside and reported, never fatal. */
    Remains read() {
        Map<String, DeviceRecord> devices = new HashMap<>();
        Map<String, LeaseRecord> leases = new HashMap<>();
        List<String> nonsense = new ArrayList<>();
        Map<String, byte[]> live = journal.live();
        live.forEach((key, value) -> {
            try {
                if (key.startsWith(DEVICE)) {
                    DeviceRecord record =
                            JSON.readValue(value, DeviceRecord.class).checked(key.substring(DEVICE.length()));
                    devices.put(record.id(), record);
                } else if (key.startsWith(LEASE)) {
                    LeaseRecord record =
                            JSON.readValue(value, LeaseRecord.class).checked(key.substring(LEASE.length()));
                    leases.put(record.id(), record);
                } else if (!key.startsWith(ASIDE)) {
                    nonsense.add(key);
                }
            } catch (JacksonException | NullPointerException | IllegalArgumentException | LoopException e) {
                log.warn("The record {} makes no sense: {}", key, e.getMessage());
                nonsense.add(key);
            }
        });
        for (String key : nonsense) {
            byte[] value = live.get(key);
            log.warn(
                    "Set aside: {} = {}",
                    key,
                    value == null ? "" : Base64.getEncoder().encodeToString(value));
            setAside(key, value == null ? new byte[0] : value);
        }
        return new Remains(devices, leases, nonsense.size() + journal.damage().size());
    }
}
