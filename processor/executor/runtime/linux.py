from __future__ import annotations

import ctypes
import os
import signal
import time

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_GET_CHILD_SUBREAPER = 37
PR_SET_NO_NEW_PRIVS = 38


def _prctl(option: int, value: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl({option}): {os.strerror(error)}")


def die_with_parent(parent_pid: int) -> None:
    """The kernel kills this process when the thread that made it ends. Cleared by fork."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before prctl: the signal would never come
        os._exit(1)


def adopt_orphans(wanted: bool = True) -> None:
    """Orphaned descendants become children of this process instead of init's. Cleared by fork."""
    _prctl(PR_SET_CHILD_SUBREAPER, int(wanted))


def adopts_orphans() -> bool:
    wanted = ctypes.c_int(0)
    _prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(wanted))
    return bool(wanted.value)


def no_new_privileges() -> None:
    """setuid programs lose their power here and below, for good."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
