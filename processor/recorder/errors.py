from __future__ import annotations

from processor.core.errors import HeadraceError


class HistoryError(HeadraceError):
    """The history could not do what was asked."""

    remedy = "Look at the recorder's log, and at the free space of the history database's disk."


class HistoryUnavailable(HistoryError):
    """The history database did not answer."""


class HistoryTooNew(HistoryError):
    """The history database was written by a newer version of Headrace."""

    remedy = "Start the newer version again, or point HEADRACE_HISTORY__URL at another database."

    def __init__(self, where: str, version: int, known: int) -> None:
        super().__init__(f"{where} has schema {version}; this version of Headrace knows {known}")
        self.version = version
        self.known = known


class HistoryAddressInvalid(HistoryError):
    """The address of the history database is not understood."""

    remedy = "Write sqlite:///PATH, or postgresql://USER@HOST:PORT/DATABASE; a password may be in PGPASSWORD instead."


class BadCursor(HistoryError):
    """The cursor is not one that this history has handed out."""

    remedy = "Leave the cursor out to begin with the newest."
