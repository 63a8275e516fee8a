from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from processor.executor import hierarchy
from processor.executor.containment import Containment
from processor.executor.runtime import folders, groups
from processor.executor.runtime.groups import Groups

PARENT = "instances"


@dataclass(slots=True)
class PoolFolder:
    """Holds the temporary folders of one guard's processes, and a file lock that guard and executor hold. The guard
    removes it in the end, and those of others that nobody holds any more (power cut, killed guard) when it starts.
    """

    path: Path
    lock_fd: int
    groups: Groups

    @classmethod
    def make(cls, data_dir: Path, containment: Containment, max_processes: int) -> PoolFolder:
        """Raises OSError, NoControlGroups."""
        parent = data_dir.resolve() / PARENT
        parent.mkdir(parents=True, exist_ok=True)
        path = parent / uuid.uuid4().hex[:12]
        with folders.making(str(parent)):
            lock_fd, made = cls._made(path, containment, max_processes)
        hierarchy.label(made, path)
        return cls(path, lock_fd, made)

    @staticmethod
    def _made(path: Path, containment: Containment, max_processes: int) -> tuple[int, Groups]:
        # Locked before it can be seen: a guard that starts at the same time would take it for abandoned.
        hidden = path.with_name(f".{path.name}")
        hidden.mkdir(mode=0o700)
        lock_fd = None
        try:
            lock_fd = folders.lock(str(hidden))
            assert lock_fd is not None
            made = containment.groups(path.name, max_processes)
            groups.record(made, str(hidden))
            hidden.rename(path)
        except BaseException:  # a full disk: nobody else would look for it before the next guard starts
            folders.remove_now(str(hidden))
            if lock_fd is not None:
                os.close(lock_fd)
            raise
        return lock_fd, made

    def close(self) -> None:
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def abandon(self) -> None:
        """Its guard is dead. The next one removes it."""
        self.close()
