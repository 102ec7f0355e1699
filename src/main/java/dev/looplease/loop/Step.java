package dev.looplease.loop;

import org.jspecify.annotations.Nullable;

/**
 * The points between two effects. A crash at any of them must leave something that recovery puts right, and the tests
 * make one at each: the process halts at the step that the system property {@code looplease.halt-at} names, without
 * running a shutdown hook, as kill -9 would. Without the property a step costs nothing.
 */
enum Step {
    CREATE_RESERVED,
    CREATE_RECORDED,
    CREATE_IMAGE_FOUND,
    CREATE_IMAGE_MADE,
    CREATE_IMAGE_KNOWN,
    CREATE_MAPPED,
    CREATE_ATTACHED,
    CREATE_CHECKED,
    CREATE_LEASE_STARTED,
    CREATE_READY,
    GROUP_RECORDED,
    GROUP_DEVICE_MADE,
    GROUP_STARTED,
    ATTACH_OPENED,
    ATTACH_BOUND,
    ATTACH_READY,
    RESIZE_PROMISED,
    RESIZE_FILE,
    RESIZE_RECORDED,
    RESIZE_DEVICE,
    RESIZE_FILE_RESTORED,
    SECTOR_SIZE_DEVICE,
    DIRECT_IO_DEVICE,
    MOVE_JOINED,
    MOVE_RECORDED,
    MOVE_LEFT,
    DETACH_GONE,
    DETACH_RECORDED,
    DELETE_RECORDED,
    DELETE_GONE,
    TEARDOWN_OPENED,
    TEARDOWN_CLEARED,
    TEARDOWN_CLOSED,
    TEARDOWN_FREED,
    CLAIMED,
    RELEASE_MARKED,
    RELEASE_OPENED,
    RELEASE_CLEARED,
    RELEASE_CLOSED,
    RELEASE_WAITING,
    RELEASE_DETACHED,
    RELEASE_IMAGE_DELETED,
    RELEASE_STRUCK,
    RELEASE_LEASE_STRUCK,
    RENEW_RECORDED,
    RENEWED,
    RECOVERY_SET_ASIDE,
    RECOVERY_LEASE_RECORDED,
    RECOVERY_DEVICE_KNOWN,
    RECOVERY_COMPARED,
    RECOVERY_ADOPTED;

    private static final @Nullable String HALT_AT = System.getProperty("looplease.halt-at");

    /** The exit status of a process that halted at its step: as after SIGKILL. */
    static final int HALTED = 137;

    void reached() {
        if (HALT_AT != null && HALT_AT.equals(name())) {
            Runtime.getRuntime().halt(HALTED);
        }
    }
}
