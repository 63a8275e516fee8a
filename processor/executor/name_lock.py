from __future__ import annotations

import fcntl
import os
from pathlib import Path


class NameLock:
    """The file lock of an executor name on this host. Its descriptor is inherited by the guard, so the lock is free
    only once every process of every function of that executor is gone (DESIGN 5.6).
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.held = self._take()

    @property
    def descriptor(self) -> int | None:
        """For the guard to inherit; None when somebody else of this name still has it."""
        return self._descriptor if self.held else None

    def release(self) -> None:
        os.close(self._descriptor)

    def _take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
