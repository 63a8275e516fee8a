from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Collection
from importlib import resources
from pathlib import Path

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.folder.file_event import Identity

#: A file that comes back after this long (a disk that was away) counts as new.
FORGET_AFTER_MS = 90 * 86_400_000
_BUSY_SEC = 5.0


class SeenUnavailable(HeadraceError):
    """What was already accepted from the watched folders cannot be read or written."""

    remedy = "Look at the free space and the rights of the data folder (HEADRACE_DATA_DIR): triggers.db."


class FolderSeen:
    """Which files of which binding have been accepted: a file of its own in the data folder. Thread-safe; blocks.

    Everything raises SeenUnavailable.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        """Opens nothing yet."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._sql = _statements()

    def knows(self, binding: str, key: str, identity: Identity) -> bool:
        """The same content of the same file, under this name or another; or under this name, with its time and size,
        on another device or inode: device numbers change at a reboot, and a restored copy is no news either.
        """
        device, inode = _signed(identity.device), _signed(identity.inode)
        with self._lock:
            try:
                connection = self._open()
                by_identity = (binding, inode, identity.mtime_ns, identity.size, device)
                by_content = (binding, os.fsencode(key), identity.mtime_ns, identity.size)
                return bool(
                    connection.execute(self._sql["find_identity"], by_identity).fetchone()
                    or connection.execute(self._sql["find_content"], by_content).fetchone()
                )
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def remember(self, binding: str, key: str, identity: Identity) -> None:
        row = (
            binding,
            os.fsencode(key),
            _signed(identity.device),
            _signed(identity.inode),
            identity.mtime_ns,
            identity.size,
            self._clock.unix_ms(),
        )
        with self._lock:
            try:
                self._open().execute(self._sql["remember"], row)
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def adopt(self, binding: str, key: str, identity: Identity) -> bool:
        """The file that is remembered under this name has another time now. False when none is, or another one."""
        row = (
            identity.mtime_ns,
            binding,
            os.fsencode(key),
            _signed(identity.device),
            _signed(identity.inode),
            identity.size,
        )
        with self._lock:
            try:
                return self._open().execute(self._sql["adopt"], row).rowcount == 1
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def note_present(self, binding: str, keys: Collection[str]) -> None:
        """After a whole reading of the folder: these are there, and what has been gone for long is forgotten."""
        now_ms = self._clock.unix_ms()
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                rows = ((now_ms, binding, os.fsencode(key)) for key in keys)
                connection.executemany(self._sql["present"], rows)
                connection.execute(self._sql["expire"], (binding, now_ms - FORGET_AFTER_MS))
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._unavailable(error) from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SEC, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # NORMAL: a power failure may forget the last files; they come again with the same RequestId.
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(self._sql["schema"])
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _unavailable(self, error: sqlite3.Error) -> SeenUnavailable:
        """The next call opens the file anew: this connection may be in the middle of something."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        return SeenUnavailable(f"{self._path}: {error}")


def _signed(number: int) -> int:
    """SQLite has signed 64 bits, the kernel unsigned ones."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _statements() -> dict[str, str]:
    text = (resources.files("triggers.folder") / "seen.sql").read_text()
    parts = (part.partition("\n") for part in text.split("-- name: ")[1:])
    return {name.strip(): statement.strip() for name, _, statement in parts}
