package dev.looplease.losetup;

import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Decides, once at start, how to speak to the kernel. */
public final class Losetups {

    private static final Logger LOG = LoggerFactory.getLogger(Losetups.class);

    private static final LosetupVersion VERSION =
            new LosetupVersion(new CommandRunner(LosetupCommand.PROGRAM, LosetupCommand.TIMEOUT), System::nanoTime);

    private Losetups() {}

    /**
     * Tries what was asked for, and logs in one line what was taken and why. {@code AUTO} always takes something.
     *
     * @throws LosetupException.KernelError when what was named does not work on this host
     */
    public static Losetup select(Backend backend, NodePolicy policy) throws LosetupException {
        return select(backend, new LosetupIoctl(policy), new LosetupCommand());
    }

    /** The same, for nobody who keeps devices ready. */
    public static Losetup select(Backend backend) throws LosetupException {
        return select(backend, NodePolicy.LAZY);
    }

    static Losetup select(Backend backend, LosetupIoctl ioctl, LosetupCommand command) throws LosetupException {
        String why = "as configured";
        if (backend != Backend.LOSETUP) {
            Optional<String> obstacle = ioctl.obstacle();
            if (obstacle.isEmpty()) {
                LOG.info(
                        "loop devices by ioctl: {}", backend == Backend.AUTO ? "the kernel takes LOOP_CONFIGURE" : why);
                return ioctl;
            }
            why = "ioctls do not work here: " + obstacle.get();
            if (backend == Backend.IOCTL) {
                throw new LosetupException.KernelError(LosetupException.KernelError.UNKNOWN, why);
            }
        }
        Optional<String> obstacle = command.obstacle();
        if (obstacle.isPresent()) {
            why = "losetup cannot be used: " + obstacle.get() + "; " + why;
            if (backend == Backend.LOSETUP) {
                throw new LosetupException.KernelError(LosetupException.KernelError.UNKNOWN, why);
            }
            // Whoever runs the agent learns more from one that is up and says in its health what is missing.
            LOG.error("no loop devices: {}", why);
            return ioctl;
        }
        LOG.info("loop devices by losetup {}: {}", commandVersion().orElse("of unknown version"), why);
        return command;
    }

    /** The version of the host's losetup, such as {@code 2.38.1}, some seconds ago; empty where there is none of util-linux. */
    public static Optional<String> commandVersion() {
        return VERSION.get();
    }
}
