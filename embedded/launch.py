"""Becomes another program that dies with its parent: the small step between the supervisor and a server.

Run as a script, never imported: `launch.py DEATH_SIGNAL PARENT_PID UID GID PROGRAM ARGUMENT...` (UID -1: stay
who we are). A process of its own, because code between fork and exec is not safe in a program that has threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def drop_to(uid: int, gid: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with_parent(signal_number: int, parent: int) -> None:
    """Ask the kernel for a signal when our parent ends. Linux only; elsewhere the next start cleans up."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Drop privileges first: a change of user would clear the death signal."""
    signal_number, parent, uid, gid = (int(text) for text in arguments[:4])
    program = arguments[4:]
    if uid >= 0:
        drop_to(uid, gid)
    die_with_parent(signal_number, parent)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
