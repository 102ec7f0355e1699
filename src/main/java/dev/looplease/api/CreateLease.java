package dev.looplease.api;

import dev.looplease.loop.LeaseTerms;
import dev.looplease.loop.Limits;
import dev.looplease.loop.LoopSpec;
import dev.looplease.loop.OnExpiry;
import dev.looplease.loop.Violations;
import io.swagger.v3.oas.annotations.media.Schema;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** The body of {@code POST /leases}. */
@Schema(description = "A lease, and the devices that it is made with.")
record CreateLease(
        @Schema(description = "Seconds that it lives from now and from each renewal.", minimum = "1", example = "600")
        @Nullable
        Long ttlSeconds,

        @Schema(
                description = "Seconds of its whole life, however often it is renewed; no end by default.",
                minimum = "1",
                maximum = "315360000",
                example = "7200")
        @Nullable
        Long maxTtlSeconds,

        @Schema(
                description =
                        "Never ends by itself, only by DELETE; then without ttlSeconds and maxTtlSeconds. Refused unless the host allows it (looplease.lease.allow-permanent; GET /host tells).",
                defaultValue = "false")
        @Nullable
        Boolean permanent,

        @Schema(description = "What is done to users of its devices when it ends.", defaultValue = "UNMOUNT") @Nullable
        OnExpiry onExpiry,

        @Schema(
                description = "Up to 32 short strings, for finding and for people; as those of a device.",
                maxProperties = 32,
                example = "{\"suite\": \"nightly\"}")
        @Nullable
        Map<String, String> labels,

        @Schema(
                description = "Devices to make with it, all or none; without leaseId, ttlSeconds and onExpiry.",
                example = "[{\"sizeMb\": 64}, {\"sizeMb\": 64, \"sectorSize\": 4096}]")
        @Nullable
        List<@Nullable CreateLoopDevice> devices) {

    static final CreateLease DEFAULT = new CreateLease(null, null, null, null, null, null);

    LeaseTerms toTerms() {
        new Violations()
                .require(JsonChecks.hasNoNulls(labels), "labels", "every value must be text, not null")
                .throwIfAny();
        return new LeaseTerms(
                optional(ttlSeconds),
                optional(maxTtlSeconds),
                Boolean.TRUE.equals(permanent),
                Objects.requireNonNullElse(onExpiry, OnExpiry.UNMOUNT),
                Objects.requireNonNullElse(labels, Map.of()));
    }

    /** The field in which the client said what the domain calls so. */
    String asked(String field) {
        List<@Nullable CreateLoopDevice> wanted = Objects.requireNonNullElse(devices, List.of());
        for (int i = 0; i < wanted.size(); i++) {
            String prefix = "devices[" + i + "].";
            CreateLoopDevice device = wanted.get(i);
            if (device != null && field.startsWith(prefix)) {
                return prefix + device.asked(field.substring(prefix.length()));
            }
        }
        return field;
    }

    private static OptionalLong optional(@Nullable Long value) {
        return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    }

    int count() {
        return devices == null ? 0 : devices.size();
    }

    List<LoopSpec> toSpecs(Limits limits) {
        List<LoopSpec> specs = new ArrayList<>();
        for (CreateLoopDevice device : Objects.requireNonNullElse(devices, List.<@Nullable CreateLoopDevice>of())) {
            new Violations()
                    .require(device != null, "devices[" + specs.size() + "]", "must be a device, not null")
                    .throwIfAny();
            specs.add(Objects.requireNonNull(device).toMemberSpec(specs.size(), limits));
        }
        return specs;
    }
}
