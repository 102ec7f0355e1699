package dev.looplease.losetup;

/** How to speak to the kernel's loop driver. */
public enum Backend {
    /** By ioctls where they work, else by the command. */
    AUTO,
    IOCTL,
    LOSETUP
}
