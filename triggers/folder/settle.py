"""When a file is complete: nobody has changed it for a while, and nobody has it open for writing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from dataclasses import dataclass

from triggers.folder.file_event import Identity


@dataclass(slots=True)
class Candidate:
    """A file that may be complete soon."""

    identity: Identity | None
    due_sec: float


class Settling:
    """Files between being heard of and being complete. Time is an argument, in seconds of any steady clock."""

    def __init__(self, settle_sec: float) -> None:
        self._settle_sec = settle_sec
        self._candidates: dict[str, Candidate] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def heard(self, key: str, identity: Identity | None, now_sec: float) -> None:
        """identity: as it is now; None when it has not been looked at."""
        self._candidates[key] = Candidate(identity, now_sec + self._settle_sec)

    def due(self, now_sec: float) -> list[str]:
        return [key for key, each in self._candidates.items() if each.due_sec <= now_sec]

    def next_due_sec(self) -> float | None:
        return min((each.due_sec for each in self._candidates.values()), default=None)

    def forget(self, key: str) -> None:
        self._candidates.pop(key, None)

    def is_settled(self, key: str, identity: Identity, now_sec: float) -> bool:
        """Forgets a settled file; one that has changed meanwhile, or is being written, waits once more."""
        known = self._candidates[key].identity
        if self._settle_sec == 0 or known == identity:
            del self._candidates[key]
            return True
        self.heard(key, identity, now_sec)
        return False


def is_being_written(path: str) -> bool:
    """Whether a process has it open for writing, where the kernel tells: it grants a read lease only when nobody has.

    False also when that cannot be known: another user's file, a file system without leases.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A writer that comes in this very moment would be announced by SIGIO, which kills; SIGURG does nothing.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        with contextlib.suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False
    finally:
        os.close(handle)
