"""When a file is complete: nobody has changed it for a while, and nobody has it open for writing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from dataclasses import dataclass
from enum import IntEnum

from triggers.folder.file_event import Identity

#: Longer than the steps in which the kernel writes file times (10 ms at most): a file changed after such a wait has
#: another time than before it, and so another identity.
TICK_SEC = 0.011


class Why(IntEnum):
    """Why a file is looked at; the greater one counts when there are two."""

    TOUCHED = 0  # its time, owner or mode was set: no news, if that is all
    FOUND = 1  # by reading the folder: somebody may be in the middle of writing it
    TOLD = 2  # closed after writing, or moved in: it is what its writer wanted it to be


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """For how long a file must stay as it is."""

    #: After a close or a move; more than a tick is for writers that close and go on.
    told_sec: float = TICK_SEC
    found_sec: float = 0.5

    def of(self, why: Why, identity: Identity) -> float:
        # Who makes an empty file is seldom done with it: many make the name first and write afterwards.
        return self.told_sec if why is Why.TOLD and identity.size else self.found_sec


@dataclass(slots=True)
class Candidate:
    """A file that may be complete soon."""

    identity: Identity
    why: Why
    due_sec: float


class Settling:
    """Files between being heard of and being complete. Time is an argument, in seconds of any steady clock."""

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._candidates: dict[str, Candidate] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, key: str) -> bool:
        return key in self._candidates

    def heard(self, key: str, identity: Identity, why: Why, now_sec: float) -> None:
        """identity: as it is now."""
        known = self._candidates.get(key)
        if known is not None:
            why = max(why, known.why)
        self._candidates[key] = Candidate(identity, why, now_sec + self._waits.of(why, identity))

    def due(self, now_sec: float) -> list[str]:
        return [key for key, each in self._candidates.items() if each.due_sec <= now_sec]

    def next_due_sec(self) -> float | None:
        return min((each.due_sec for each in self._candidates.values()), default=None)

    def forget(self, key: str) -> None:
        self._candidates.pop(key, None)

    def settled(self, key: str, identity: Identity, now_sec: float) -> Why | None:
        """Forgets a settled file and says why it was looked at; one that has changed meanwhile waits once more."""
        known = self._candidates[key]
        if known.identity == identity:
            del self._candidates[key]
            return known.why
        self.heard(key, identity, known.why, now_sec)
        return None

    def postpone(self, key: str, identity: Identity, why: Why, due_sec: float) -> None:
        """A settled file that cannot be taken yet."""
        self._candidates.setdefault(key, Candidate(identity, why, due_sec))


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
