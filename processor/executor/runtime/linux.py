from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator

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


def may_gain_privileges(pid: int) -> bool:
    """False once it or one of those above it has called no_new_privileges. True also for one that has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return b"\nNoNewPrivs:\t1" not in file.read()
    except OSError:
        return True


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextlib.contextmanager
def hurry() -> Iterator[None]:
    """Runs before all ordinary processes for a while, where that is allowed; what it forks does not."""
    before = os.sched_getscheduler(0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, before, os.sched_param(0))
