"""A Python module's way, as sts.loop goes: ask for a number, allocate, attach, detach, unlink, each a process but the last.

Reads how many pairs to run, a number on each line, and prints the nanoseconds of each attach and detach.
Usage: python3 module.py DIRECTORY BYTES
"""

import os
import subprocess
import sys
import time


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


image = f"{sys.argv[1]}/module-{os.getpid()}.img"
for line in sys.stdin:
    done = 0
    while done < int(line):
        began = time.perf_counter_ns()
        device = run("losetup", "-f").stdout.strip()
        run("fallocate", "-l", sys.argv[2], image).check_returncode()
        if run("losetup", device, image).returncode != 0:
            os.unlink(image)  # another program was given the same number
            continue
        attached = time.perf_counter_ns()
        run("losetup", "-d", device).check_returncode()
        os.unlink(image)
        cleared = time.perf_counter_ns()
        print(attached - began, cleared - attached)
        done += 1
    sys.stdout.flush()
