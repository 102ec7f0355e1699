package dev.looplease.loop;

import dev.looplease.image.Allocation;
import dev.looplease.losetup.DirectIo;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** What an agent does in its last moment: made ready by one agent, and done by the next one, which halts at a step of it. */
enum Operation {
    CREATE {
        @Override
        LoopService.Answer<List<String>> create(Ground ground, Path home) {
            return createOne(ground, spec());
        }
    },
    CREATE_IN_DIRECTORY {
        @Override
        LoopService.Answer<List<String>> create(Ground ground, Path home) {
            return createOne(ground, spec(Ground.root(home), false));
        }
    },
    CREATE_NAMED {
        @Override
        LoopService.Answer<List<String>> create(Ground ground, Path home) {
            return createOne(ground, spec(Ground.root(home).resolve("disk.raw"), false));
        }
    },
    CREATE_REUSED {
        @Override
        String prepare(Ground ground, Path home) throws IOException {
            userFile(home);
            return "";
        }

        @Override
        LoopService.Answer<List<String>> create(Ground ground, Path home) {
            return createOne(ground, spec(userFilePath(home), true));
        }
    },
    CREATE_GROUP(2) {
        @Override
        LoopService.Answer<List<String>> create(Ground ground, Path home) {
            var made = ground.service.createLease(terms(), List.of(spec(), spec()), OWNER, KEY);
            return new LoopService.Answer<>(made.value().lease().deviceIds(), made.repeated());
        }
    },
    ATTACH {
        @Override
        String prepare(Ground ground, Path home) {
            String id = create(ground, spec(), null);
            ground.service.detach(new DeviceRef.Id(id), ANY, OWNER);
            return id;
        }

        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.attach(new DeviceRef.Id(target), ANY, OWNER);
        }
    },
    GROW {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.patch(new DeviceRef.Id(target), ANY, resize(2 * BYTES), OWNER);
        }
    },
    SHRINK {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.patch(new DeviceRef.Id(target), ANY, resize(BYTES / 2), OWNER);
        }
    },
    /** To a size that does not consist of sectors of the size that is asked for in the same breath. */
    GROW_IN_VAIN {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.patch(
                    new DeviceRef.Id(target),
                    ANY,
                    new LoopPatch(
                            OptionalLong.of(BYTES + 512),
                            false,
                            Optional.empty(),
                            OptionalInt.of(4096),
                            Optional.empty(),
                            Optional.empty()),
                    OWNER);
        }
    },
    SET_SECTOR_SIZE {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.patch(
                    new DeviceRef.Id(target),
                    ANY,
                    new LoopPatch(
                            OptionalLong.empty(),
                            false,
                            Optional.empty(),
                            OptionalInt.of(4096),
                            Optional.empty(),
                            Optional.empty()),
                    OWNER);
        }
    },
    SET_DIRECT_IO {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.patch(
                    new DeviceRef.Id(target),
                    ANY,
                    new LoopPatch(
                            OptionalLong.empty(),
                            false,
                            Optional.of(DirectIo.PREFER),
                            OptionalInt.empty(),
                            Optional.empty(),
                            Optional.empty()),
                    OWNER);
        }
    },
    MOVE {
        @Override
        String prepare(Ground ground, Path home) {
            String lease = ground.service
                    .createLease(terms(), List.of(), OWNER, null)
                    .value()
                    .lease()
                    .id();
            return create(ground, spec(), null) + "," + lease;
        }

        @Override
        void run(Ground ground, Path home, String target) {
            List<String> both = List.of(target.split(",", -1));
            ground.service.patch(
                    new DeviceRef.Id(both.getFirst()),
                    ANY,
                    new LoopPatch(
                            OptionalLong.empty(),
                            false,
                            Optional.empty(),
                            OptionalInt.empty(),
                            Optional.empty(),
                            Optional.of(both.getLast())),
                    OWNER);
        }
    },
    DETACH {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.detach(new DeviceRef.Id(target), ANY, OWNER);
        }
    },
    DELETE {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.delete(new DeviceRef.Id(target), ANY, false, OWNER);
        }
    },
    /** Of a device that is mounted: the test does that. */
    FORCE_DELETE {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.delete(new DeviceRef.Id(target), ANY, true, OWNER);
        }
    },
    DELETE_NAMED {
        @Override
        String prepare(Ground ground, Path home) {
            return create(ground, spec(Ground.root(home).resolve("disk.raw"), false), null);
        }

        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.delete(new DeviceRef.Id(target), ANY, false, OWNER);
        }
    },
    DELETE_REUSED {
        @Override
        String prepare(Ground ground, Path home) throws IOException {
            userFile(home);
            return create(ground, spec(userFilePath(home), true), null);
        }

        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.delete(new DeviceRef.Id(target), ANY, false, OWNER);
        }
    },
    END_LEASE {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.endLease(lease(ground, target).id(), ANY, OWNER);
        }
    },
    EXPIRE {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.renew(lease(ground, target).id(), ANY, OptionalLong.of(1), OWNER);
            ground.advance(Duration.ofSeconds(2));
            ground.service.reap();
            // The release runs on a thread of the agent's, and one of them halts the process.
            ground.service.close(false);
        }
    },
    RENEW {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.renew(lease(ground, target).id(), ANY, OptionalLong.of(RENEWED_SECONDS), OWNER);
        }
    },
    GIVE_ALL_BACK {
        @Override
        void run(Ground ground, Path home, String target) {
            ground.service.close(true);
        }
    },
    /** The start is the operation. */
    START {
        @Override
        void run(Ground ground, Path home, String target) {}
    };

    static final Caller OWNER = new Caller("somebody", Caller.Role.USER, Quota.NONE, Caller.Sight.REDACTED);
    static final RequestKey KEY = new RequestKey("key", "fingerprint");
    static final Precondition ANY = new Precondition.None();
    static final long BYTES = 4 << 20;
    static final long TTL_SECONDS = 600;
    static final long RENEWED_SECONDS = 7200;

    /** How many devices there are in the end, if it comes to that. */
    final int devices;

    Operation() {
        this(1);
    }

    Operation(int devices) {
        this.devices = devices;
    }

    /** Brings an agent to where this can be done; returns what {@link #run} needs to know. */
    String prepare(Ground ground, Path home) throws IOException {
        return name().startsWith("CREATE") ? "" : create(ground, spec(), null);
    }

    void run(Ground ground, Path home, String target) {
        create(ground, home);
    }

    /** What is done with a key: makes devices, or finds those that the same request made before. */
    LoopService.Answer<List<String>> create(Ground ground, Path home) {
        throw new UnsupportedOperationException(this + " makes nothing");
    }

    private static LoopService.Answer<List<String>> createOne(Ground ground, LoopSpec spec) {
        var made = ground.service.create(spec, new LeaseChoice.Own(terms()), OWNER, KEY);
        return new LoopService.Answer<>(List.of(made.value().requiredId()), made.repeated());
    }

    static String create(Ground ground, LoopSpec spec, @Nullable RequestKey key) {
        return ground.service
                .create(spec, new LeaseChoice.Own(terms()), OWNER, key)
                .value()
                .requiredId();
    }

    static LeaseTerms terms() {
        return new LeaseTerms(OptionalLong.of(TTL_SECONDS), OptionalLong.empty(), false, OnExpiry.UNMOUNT, Map.of());
    }

    static LeaseSnapshot lease(Ground ground, String device) {
        return ground.service
                .get(new DeviceRef.Id(device), OWNER)
                .managed()
                .orElseThrow()
                .lease();
    }

    static LoopSpec spec() {
        return spec(null, false);
    }

    static LoopSpec spec(@Nullable Path imagePath, boolean reuseFile) {
        return new LoopSpec(
                reuseFile ? OptionalLong.empty() : OptionalLong.of(BYTES),
                OptionalInt.empty(),
                imagePath,
                false,
                reuseFile,
                Allocation.SPARSE,
                0,
                0,
                512,
                false,
                false,
                DirectIo.OFF,
                Map.of());
    }

    private static LoopPatch resize(long bytes) {
        return new LoopPatch(
                OptionalLong.of(bytes),
                true,
                Optional.empty(),
                OptionalInt.empty(),
                Optional.empty(),
                Optional.empty());
    }

    static Path userFilePath(Path home) {
        return Ground.root(home).resolve("mine.img");
    }

    private static void userFile(Path home) throws IOException {
        Files.createDirectories(Ground.root(home));
        try (RandomAccessFile file = new RandomAccessFile(userFilePath(home).toFile(), "rw")) {
            file.writeUTF("the user's");
            file.setLength(BYTES);
        }
    }
}
