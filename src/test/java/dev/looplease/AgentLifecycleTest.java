package dev.looplease;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.looplease.image.ImageStore;
import dev.looplease.journal.Journal;
import dev.looplease.loop.LoopService;
import dev.looplease.loop.Ticker;
import dev.looplease.losetup.Backend;
import dev.looplease.losetup.FaultyLosetup;
import dev.looplease.losetup.FaultyLosetup.Fault;
import dev.looplease.losetup.Losetups;
import dev.looplease.usage.DeviceUsers;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.context.ApplicationContext;
import org.springframework.context.event.ContextClosedEvent;
import org.springframework.context.support.StaticApplicationContext;

/** The fault guarded: a kernel that could not be read for a moment at the start left an agent that never served. */
@KernelTest
class AgentLifecycleTest {

    @TempDir
    private Path home;

    private interface Use {
        void of(LoopService service, FaultyLosetup losetup, AgentLifecycle lifecycle, ApplicationContext context)
                throws Exception;
    }

    private void withAgent(Use use) throws Exception {
        FaultyLosetup losetup = new FaultyLosetup(Losetups.select(Backend.IOCTL));
        LoopleaseProperties properties = new Binder(List.of()).bindOrCreate("looplease", LoopleaseProperties.class);
        try (ImageStore images = new ImageStore(home.resolve("images"), List.of());
                Journal journal = Journal.open(home.resolve("journal"));
                StaticApplicationContext context = new StaticApplicationContext()) {
            context.refresh();
            LoopService service = new LoopService(
                    losetup,
                    images,
                    new DeviceUsers(),
                    journal,
                    "this-boot",
                    properties.limits(),
                    Ticker.boottime(),
                    Clock.systemUTC(),
                    event -> {});
            AgentLifecycle lifecycle = new AgentLifecycle(service, properties, context);
            try {
                use.of(service, losetup, lifecycle, context);
            } finally {
                lifecycle.stop();
            }
        }
    }

    @Test
    void recoversAsSoonAsTheKernelCanBeRead() throws Exception {
        withAgent((service, losetup, lifecycle, context) -> {
            losetup.breakEvery("list"::equals, Fault.FAILS);
            Thread recovery = Thread.ofPlatform().start(lifecycle::recover);
            await().until(() -> losetup.brokenCalls() >= 2);
            assertThat(service.phase()).isEqualTo(LoopService.Phase.RECOVERING);

            losetup.heal();

            await().until(() -> service.phase() == LoopService.Phase.SERVING);
            recovery.join();
        });
    }

    @Test
    void givesUpWhenItIsStopped() throws Exception {
        withAgent((service, losetup, lifecycle, context) -> {
            losetup.breakEvery("numbers"::equals, Fault.FAILS);
            Thread recovery = Thread.ofPlatform().start(lifecycle::recover);
            await().until(() -> losetup.brokenCalls() >= 1);

            lifecycle.close(new ContextClosedEvent(context));

            recovery.join();
            assertThat(service.phase()).isEqualTo(LoopService.Phase.STOPPING);
        });
    }
}
