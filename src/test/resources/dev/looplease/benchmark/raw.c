/*
 * What the kernel itself needs for a sparse image on a loop device: made, attached, detached, deleted, by system calls
 * alone. Reads how many pairs to run, a number on each line, and prints the nanoseconds of each attach and detach.
 *
 * Usage: raw DIRECTORY BYTES
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void require(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

int main(int argc, char **argv) {
    char image[4096], node[64], line[64];
    int pairs, control;
    require(argc == 3, "usage: raw DIRECTORY BYTES");
    snprintf(image, sizeof image, "%s/raw-%d.img", argv[1], getpid());
    control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    require(control >= 0, "/dev/loop-control");
    while (fgets(line, sizeof line, stdin)) {
        for (pairs = atoi(line); pairs > 0; pairs--) {
            struct loop_config config;
            int fd, device, number, bound;
            long long began = now(), attached, cleared;

            fd = open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
            require(fd >= 0, image);
            require(ftruncate(fd, atoll(argv[2])) == 0, "ftruncate");
            memset(&config, 0, sizeof config);
            config.fd = fd;
            config.block_size = 512;
            do {
                /* It reserves nothing: whoever loses against another program tries again. */
                number = ioctl(control, LOOP_CTL_GET_FREE);
                require(number >= 0, "LOOP_CTL_GET_FREE");
                snprintf(node, sizeof node, "/dev/loop%d", number);
                device = open(node, O_RDWR | O_CLOEXEC);
                require(device >= 0, node);
                bound = ioctl(device, LOOP_CONFIGURE, &config) == 0;
                require(bound || errno == EBUSY, "LOOP_CONFIGURE");
                close(device);
            } while (!bound);
            close(fd);
            attached = now();

            device = open(node, O_RDWR | O_CLOEXEC);
            require(device >= 0, node);
            require(ioctl(device, LOOP_CLR_FD) == 0, "LOOP_CLR_FD");
            close(device);
            require(unlink(image) == 0, "unlink");
            cleared = now();
            printf("%lld %lld\n", attached - began, cleared - attached);
        }
        fflush(stdout);
    }
    return 0;
}
