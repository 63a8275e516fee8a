from __future__ import annotations

import fcntl
import os
from pathlib import Path

from processor.transport.embedded.errors import DataFolderInUse


class FolderLock:
    """One process per data folder. The kernel drops the lock when its process ends, however that happens."""

    def __init__(self, folder: Path) -> None:
        """Creates the folder, for this user only. Raises DataFolderInUse."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._descriptor, 20).decode(errors="replace")
            os.close(self._descriptor)
            raise DataFolderInUse(folder, owner) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def release(self) -> None:
        os.close(self._descriptor)
