from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


class Session(ABC):
    """One read: every statement of it sees the same state of the history. Used by one thread."""

    #: The named statements, and parts of statements.
    sql: Mapping[str, str]

    @abstractmethod
    def rows(self, name: str, values: Mapping[str, Any] = {}, **parts: str) -> Sequence[Row]:
        """Of a named statement; parts: the SQL that replaces its {names}."""

    @abstractmethod
    def log_tables(self) -> Sequence[str]:
        """The tables that have log lines, the oldest first."""


class Deadline:
    def __init__(self, limit_sec: float) -> None:
        self._at_sec = time.monotonic() + limit_sec

    @property
    def passed(self) -> bool:
        return time.monotonic() > self._at_sec
