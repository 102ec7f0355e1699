package dev.looplease.losetup;

import dev.looplease.losetup.LosetupException.KernelError;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** The real loop driver, but for one call, or for all that are chosen: these fail, hang or lie. */
public final class FaultyLosetup implements Losetup {

    /** What goes wrong with a call. */
    public enum Fault {
        /** It fails and has done nothing. */
        FAILS,
        /** It fails although it has done what it should. */
        FAILS_AFTER_ITS_EFFECT,
        /** It succeeds and has done nothing; a question gets a wrong answer. */
        LIES,
        /** It does what it should and returns something else. */
        RETURNS_NONSENSE,
        /** It does what it should, after it has been let go on. */
        HANGS
    }

    private static final long LONGEST_HANG_SECONDS = 20;

    private final Losetup real;
    private final AtomicInteger calls = new AtomicInteger();
    private volatile int nth = Integer.MAX_VALUE;
    private volatile Fault fault = Fault.FAILS;
    private volatile @Nullable Predicate<String> chosen;
    private volatile CountDownLatch hanging = new CountDownLatch(0);
    private volatile CountDownLatch letGo = new CountDownLatch(0);
    private final AtomicInteger waiting = new AtomicInteger();
    private final Map<Integer, Fault> detaches = new ConcurrentHashMap<>();
    private final AtomicInteger brokenCalls = new AtomicInteger();
    private volatile String broken = "";
    private volatile @Nullable Path failedDisk;
    private final Map<String, Runnable> befores = new ConcurrentHashMap<>();

    public FaultyLosetup(Losetup real) {
        this.real = real;
    }

    /** Breaks one call, counted from 1 and from now on. */
    public void breakCall(int which, Fault how) {
        calls.set(0);
        broken = "";
        chosen = null;
        fault = how;
        hanging = new CountDownLatch(1);
        letGo = new CountDownLatch(1);
        nth = which;
    }

    /** Breaks every call of a kind, {@code attach} or {@code handle.clear}, until {@link #heal}. */
    public void breakEvery(Predicate<String> which, Fault how) {
        hanging = new CountDownLatch(1);
        letGo = new CountDownLatch(1);
        nth = Integer.MAX_VALUE;
        fault = how;
        chosen = which;
    }

    /** Breaks every detach of one device, until {@link #heal}; several at once, each in its own way. */
    public void breakDetachOf(int number, Fault how) {
        hanging = new CountDownLatch(1);
        if (detaches.isEmpty()) {
            letGo = new CountDownLatch(1);
        }
        detaches.put(number, how);
    }

    /** Does something right before the next call of a kind. */
    public void before(String call, Runnable what) {
        befores.put(call, what);
    }

    /** Devices of images below a directory are bound, and cannot be read: as if its disk failed. Until {@link #heal}. */
    public void failDisk(Path directory) {
        failedDisk = directory;
    }

    private boolean isReadable(LoopDevice device) {
        Path failed = failedDisk;
        return failed == null || !Path.of(device.backingFile()).startsWith(failed);
    }

    /** How many calls were broken so far. */
    public int brokenCalls() {
        return brokenCalls.get();
    }

    /** The call that was broken; empty when it did not come to that. */
    public String broken() {
        return broken;
    }

    /** Waits until a call hangs. */
    public boolean awaitHanging() throws InterruptedException {
        return hanging.await(LONGEST_HANG_SECONDS, TimeUnit.SECONDS);
    }

    /** Whether a call hangs now. */
    public boolean isHanging() {
        return waiting.get() > 0;
    }

    /** From now on everything is as it should be, and what hangs goes on. */
    public void heal() {
        nth = Integer.MAX_VALUE;
        chosen = null;
        failedDisk = null;
        detaches.clear();
        letGo.countDown();
    }

    private @Nullable Fault next(String call) {
        return next(call, null);
    }

    /** Which fault this call has; null for none. */
    private @Nullable Fault next(String call, @Nullable Fault ofDevice) {
        Runnable first = befores.remove(call);
        if (first != null) {
            first.run();
        }
        Predicate<String> every = chosen;
        if (calls.incrementAndGet() != nth && (every == null || !every.test(call)) && ofDevice == null) {
            return null;
        }
        Fault now = ofDevice == null ? fault : ofDevice;
        broken = call;
        brokenCalls.incrementAndGet();
        if (now == Fault.HANGS) {
            waiting.incrementAndGet();
            hanging.countDown();
            try {
                letGo.await(LONGEST_HANG_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                waiting.decrementAndGet();
            }
        }
        return now;
    }

    private static KernelError failure(String call) {
        return new KernelError("EIO", "this call of " + call + " was made to fail");
    }

    private interface Call<T> {
        T run() throws LosetupException;
    }

    private interface Effect {
        void run() throws LosetupException;
    }

    /** @param lie what is answered without doing anything */
    private <T> T answer(String call, Call<T> truth, Call<T> lie, Call<T> nonsense) throws LosetupException {
        Fault now = next(call);
        if (now == null || now == Fault.HANGS) {
            return truth.run();
        }
        return switch (now) {
            case FAILS -> throw failure(call);
            case FAILS_AFTER_ITS_EFFECT -> {
                truth.run();
                throw failure(call);
            }
            case LIES -> lie.run();
            default -> nonsense.run();
        };
    }

    /** @param number of the device that this would detach; -1 for none */
    private void effect(String call, int number, Effect truth) throws LosetupException {
        Fault now = next(call, detaches.get(number));
        if (now == Fault.FAILS) {
            throw failure(call);
        }
        if (now != Fault.LIES) {
            truth.run();
        }
        if (now == Fault.FAILS_AFTER_ITS_EFFECT) {
            throw failure(call);
        }
    }

    private static LoopDevice nonsense(LoopDevice device) {
        return changed(device, device.sizeBytes() + 512, device.sectorSize() * 2, device.diskSeq() + 1_000_000);
    }

    private static LoopDevice changed(LoopDevice device, long sizeBytes, int sectorSize, long diskSeq) {
        return new LoopDevice(
                device.number(),
                device.node(),
                sizeBytes,
                sectorSize,
                device.offsetBytes(),
                device.sizeLimitBytes(),
                !device.readOnly(),
                !device.directIo(),
                !device.autoclear(),
                device.partScan(),
                diskSeq,
                device.backingFile(),
                device.backingFileDeleted(),
                device.backingDevice(),
                device.backingInode(),
                device.backingNode(),
                List.of(),
                device.tag());
    }

    @Override
    public String backend() {
        return real.backend();
    }

    @Override
    public LoopDevice attach(Attachment wanted) throws LosetupException {
        return answer(
                "attach",
                () -> real.attach(wanted),
                () -> {
                    LoopDevice device = real.attach(wanted);
                    clear(device);
                    return device;
                },
                () -> nonsense(real.attach(wanted)));
    }

    private void clear(LoopDevice device) throws LosetupException {
        try (LoopHandle handle = real.open(device.identity()).orElseThrow()) {
            handle.clear();
        }
    }

    @Override
    public Optional<LoopDevice> inspect(int number) throws LosetupException {
        return answer(
                "inspect",
                () -> readable(real.inspect(number)),
                Optional::empty,
                () -> real.inspect(number).map(FaultyLosetup::nonsense));
    }

    private Optional<LoopDevice> readable(Optional<LoopDevice> device) throws LosetupException {
        if (device.isPresent() && !isReadable(device.get())) {
            throw failure("inspect");
        }
        return device;
    }

    @Override
    public List<Integer> numbers() throws LosetupException {
        return answer("numbers", real::numbers, List::of, List::of);
    }

    @Override
    public List<LoopDevice> list(List<Integer> numbers) throws LosetupException {
        return answer(
                "list",
                () -> real.list(numbers).stream().filter(this::isReadable).toList(),
                List::of,
                () -> real.list(numbers).stream().map(FaultyLosetup::nonsense).toList());
    }

    @Override
    public List<String> unlistedImages(List<LoopDevice> listed) throws LosetupException {
        return answer("unlistedImages", () -> real.unlistedImages(listed), List::of, List::of);
    }

    @Override
    public void tend() throws LosetupException {
        real.tend();
    }

    @Override
    public Optional<LoopHandle> open(LoopIdentity identity) throws LosetupException {
        Fault now = next("open");
        if (now == Fault.FAILS) {
            throw failure("open");
        }
        if (now == Fault.LIES) {
            return Optional.empty();
        }
        if (failedDisk != null && real.isBound(identity)) {
            readable(real.inspect(identity.number()));
        }
        Optional<LoopHandle> opened = real.open(identity).map(handle -> new Handle(handle, identity.number()));
        if (now == Fault.FAILS_AFTER_ITS_EFFECT) {
            if (opened.isPresent()) {
                opened.get().close();
            }
            throw failure("open");
        }
        return opened;
    }

    @Override
    public boolean isBound(LoopIdentity identity) {
        try {
            return answer(
                    "isBound",
                    () -> real.isBound(identity),
                    () -> !real.isBound(identity),
                    () -> !real.isBound(identity));
        } catch (LosetupException e) {
            throw new UncheckedIOException(e);
        }
    }

    private final class Handle implements LoopHandle {

        private final LoopHandle handle;
        private final int number;

        Handle(LoopHandle handle, int number) {
            this.handle = handle;
            this.number = number;
        }

        @Override
        public LoopDevice inspect() throws LosetupException {
            return answer(
                    "handle.inspect",
                    handle::inspect,
                    () -> nonsense(handle.inspect()),
                    () -> nonsense(handle.inspect()));
        }

        @Override
        public boolean isClaimed() throws LosetupException {
            return answer("handle.isClaimed", handle::isClaimed, () -> !handle.isClaimed(), () -> !handle.isClaimed());
        }

        @Override
        public boolean hasPartitions() throws LosetupException {
            return answer(
                    "handle.hasPartitions",
                    handle::hasPartitions,
                    () -> !handle.hasPartitions(),
                    () -> !handle.hasPartitions());
        }

        @Override
        public void clear() throws LosetupException {
            effect("handle.clear", number, handle::clear);
        }

        @Override
        public void retain() throws LosetupException {
            effect("handle.retain", -1, handle::retain);
        }

        @Override
        public LoopDevice refreshSize() throws LosetupException {
            // A lie has what the caller wants to hear: the size that the image has now.
            return answer(
                    "handle.refreshSize",
                    handle::refreshSize,
                    () -> resized(handle.inspect()),
                    () -> nonsense(handle.refreshSize()));
        }

        private LoopDevice resized(LoopDevice device) {
            long size = Path.of(device.backingFile()).toFile().length();
            return changed(device, size, device.sectorSize(), device.diskSeq());
        }

        @Override
        public LoopDevice setDirectIo(boolean on) throws LosetupException {
            return answer(
                    "handle.setDirectIo",
                    () -> handle.setDirectIo(on),
                    handle::inspect,
                    () -> nonsense(handle.setDirectIo(on)));
        }

        @Override
        public LoopDevice setSectorSize(int bytes) throws LosetupException {
            return answer(
                    "handle.setSectorSize",
                    () -> handle.setSectorSize(bytes),
                    () -> {
                        LoopDevice device = handle.inspect();
                        return changed(device, device.sizeBytes(), bytes, device.diskSeq());
                    },
                    () -> nonsense(handle.setSectorSize(bytes)));
        }

        @Override
        public boolean canRetain() throws LosetupException {
            return answer("handle.canRetain", handle::canRetain, () -> !handle.canRetain(), () -> !handle.canRetain());
        }

        /** Whatever close(2) answers, the descriptor is closed. */
        @Override
        public void close() throws LosetupException {
            Fault now = next("handle.close");
            handle.close();
            if (now == Fault.FAILS || now == Fault.FAILS_AFTER_ITS_EFFECT) {
                throw failure("handle.close");
            }
        }
    }
}
