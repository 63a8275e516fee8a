from __future__ import annotations

from pathlib import Path

from processor.transport.abstract import TransportError


class DataFolderInUse(TransportError):
    """Another process uses the data folder."""

    remedy = "Stop the other Headrace, or give this one a folder of its own (--data or HEADRACE_DATA_DIR)."

    def __init__(self, folder: Path, owner: str) -> None:
        super().__init__(f"the data folder {folder} is used by another process" + (f" (pid {owner})" if owner else ""))
        self.folder = folder
        self.owner = owner


class NotOpened(TransportError):
    """The embedded log cannot be opened: no room, no rights, or somebody else holds it. What it has is sound."""

    remedy = "Make room on its disk, or give this user the right to write there; the log goes on where it was."

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} cannot be opened: {reason}")
        self.file = file
        self.reason = reason


class DataDamaged(TransportError):
    """The embedded log is damaged."""

    remedy = "Restore the folder from a backup, or move it away to begin with an empty log."

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} cannot be used as an embedded log: {reason}")
        self.file = file
        self.reason = reason
