"""The history port: what the recorder writes, and what the API, the command line and the console read.

Whoever implements it promises: `apply` is one transaction (everything of the batch and its offsets, or nothing), so a
restarted recorder repeats nothing; reads are thread-safe, see only whole batches, never wait for a write, and give up
after a few seconds with HistoryUnavailable.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.errors import HeadraceError
from processor.core.run import Status
from processor.recorder.batch import Batch, LogChunk, decode_chunk
from processor.recorder.document import RunDocument, apply_verdict, is_ended, queued_document, timestamp
from processor.transport.abstract import TopicPartition

#: The whole of the recorder that others may import, the two formats included that the live path shares with it.
__all__ = [
    "MAX_PAGE",
    "MAX_POSITION",
    "PAGE_LIMITS",
    "BadCursor",
    "Batch",
    "HistoryError",
    "HistoryStore",
    "HistoryTooNew",
    "HistoryUnavailable",
    "LinePage",
    "LogChunk",
    "LogLine",
    "Place",
    "RunDocument",
    "RunPage",
    "RunQuery",
    "apply_verdict",
    "decode_chunk",
    "is_ended",
    "queued_document",
    "timestamp",
]

#: Entries of one page of `list_runs`, and lines of one `get_lines`.
MAX_PAGE = 1_000
#: Counting costs some 100 ns for each run before it.
MAX_POSITION = 100_000


class HistoryError(HeadraceError):
    """The history could not do what was asked."""

    remedy = "Look at the recorder's log, and at the free space of the history database's disk."


class HistoryUnavailable(HistoryError):
    """The history database did not answer."""


class HistoryTooNew(HistoryError):
    """The history database was written by a newer version of Headrace."""

    remedy = "Start the newer version again, or point HEADRACE_HISTORY__URL at another database."


class BadCursor(HistoryError):
    """The cursor is not one that this history has handed out."""

    remedy = "Leave the cursor out to begin with the newest run."


class LogLine(NamedTuple):
    seq: int
    #: "stdout", "stderr", "log", or "platform" for what Headrace itself says.
    stream: str
    level: str | None
    unix_ms: int
    text: str


class LinePage(NamedTuple):
    #: Which delivery the lines are of; None while no delivery is known.
    delivery: str | None
    lines: list[LogLine]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunQuery:
    function: str | None = None
    status: Status | None = None
    #: Only runs accepted at or after this time.
    since_ms: int | None = None
    #: `RunPage.cursor` of the page before.
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    #: Newest first; without `result`, which can have a megabyte: ask for the run itself.
    runs: list[RunDocument]
    #: For the next page; None when this is the last.
    cursor: str | None


class Place(NamedTuple):
    """Where a page ended: runs are ordered by (time accepted, number of the row)."""

    accepted_at_ms: int
    row: int

    def cursor(self) -> str:
        return base64.urlsafe_b64encode(f"{self.accepted_at_ms}.{self.row}".encode()).rstrip(b"=").decode()

    @classmethod
    def parse(cls, cursor: str) -> Place:
        """Raises BadCursor."""
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            accepted_at_ms, row = base64.b64decode(padded, b"-_", validate=True).decode("ascii").split(".")
            return cls(int(accepted_at_ms), int(row))
        except (ValueError, binascii.Error) as error:
            raise BadCursor(f"{cursor!r} is not a cursor of this list") from error


class HistoryStore(ABC):
    """Reads raise HistoryUnavailable and block for at most a few seconds."""

    @abstractmethod
    def get_run(self, request_id: str) -> RunDocument | None:
        """The state of the newest delivery; None when the recorder has not seen this RequestId."""

    @abstractmethod
    def position(self, request_id: str) -> int | None:
        """Which one of its function's queued runs it is, in order of acceptance; 1 = the next. None: it is not queued,
        or more than MAX_POSITION are before it.
        """

    @abstractmethod
    def list_runs(self, query: RunQuery) -> RunPage:
        """Raises BadCursor."""

    @abstractmethod
    def get_lines(
        self, request_id: str, *, delivery: str | None = None, after_seq: int = 0, limit: int = MAX_PAGE
    ) -> LinePage:
        """Lines with a seq above after_seq, in order; delivery None: of the newest one. Fewer lines than limit: there
        are no more yet.
        """

    @abstractmethod
    def object_events(self, function: str, source: str, subjects: Collection[str]) -> Mapping[str, Collection[str]]:
        """Of the function's runs that storage triggers began: subject -> ids of its events. Subjects without any are
        left out.
        """

    @abstractmethod
    def recorded(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition, as `offsets`, but for who reads: everything before it can be read here."""

    @abstractmethod
    def counters(self) -> Mapping[str, int]:
        """What went by unseen otherwise: void_verdicts, undecodable, missed (records deleted before they were read)."""

    @abstractmethod
    def run_counts(self) -> Mapping[tuple[str, str], int]:
        """How many runs there are by (function, status). Reads them all."""

    @abstractmethod
    def open_for_writing(self) -> None:
        """Creates or upgrades the database. Called by the one writer, in the thread that will call `apply`.
        Raises HistoryUnavailable, HistoryTooNew.
        """

    @abstractmethod
    def offsets(self) -> Mapping[TopicPartition, int]:
        """The next offset of each partition, as of the last `apply`; empty on first use."""

    @abstractmethod
    def apply(self, batch: Batch, offsets: Mapping[TopicPartition, int]) -> None:
        """Folds a batch in, and remembers the offsets, in one transaction. Raises HistoryUnavailable: nothing was
        written.
        """

    @abstractmethod
    def expire(self, now_ms: int) -> bool:
        """Deletes a bounded piece of what is older than the retention; True when there is more to delete."""

    @abstractmethod
    def close(self) -> None:
        """Closes the writer and every reader. Nothing may be read or written afterwards."""


#: What `RunQuery.limit` may be.
PAGE_LIMITS = range(1, MAX_PAGE + 1)
