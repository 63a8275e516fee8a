"""The history port: what the recorder writes, and what the API, the command line and the console read.

Whoever implements it promises: `apply` is one transaction (everything of the batch and its offsets, or nothing), so a
restarted recorder repeats nothing; reads are thread-safe, see only whole batches, never wait for a write, and give up
after a few seconds with HistoryUnavailable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from processor.recorder.batch import Batch, LogChunk, decode_chunk
from processor.recorder.document import (
    RunDocument,
    apply_verdict,
    is_ended,
    progress_document,
    queued_document,
    timestamp,
    unix_ms_of,
)
from processor.recorder.errors import BadCursor, HistoryAddressInvalid, HistoryError, HistoryTooNew, HistoryUnavailable
from processor.recorder.gaps import LATE_LINES_MS, marker, shown, told_in_vain
from processor.recorder.queries import (
    LEVELS,
    MAX_PAGE,
    PAGE_LIMITS,
    Activity,
    ActivityQuery,
    FoundLine,
    FoundPage,
    LinePage,
    LinePlace,
    LineQuery,
    LogLine,
    Place,
    QueuedRuns,
    RunPage,
    RunQuery,
    percentile_ms,
)
from processor.transport.abstract import TopicPartition

#: The whole of the recorder that others may import, the two formats included that the live path shares with it.
__all__ = [
    "LATE_LINES_MS",
    "LEVELS",
    "MAX_PAGE",
    "MAX_POSITION",
    "PAGE_LIMITS",
    "Activity",
    "ActivityQuery",
    "BadCursor",
    "Batch",
    "FoundLine",
    "FoundPage",
    "HistoryAddressInvalid",
    "HistoryError",
    "HistoryStore",
    "HistoryTooNew",
    "HistoryUnavailable",
    "LinePage",
    "LinePlace",
    "LineQuery",
    "LogChunk",
    "LogLine",
    "Place",
    "QueuedRuns",
    "RunDocument",
    "RunPage",
    "RunQuery",
    "apply_verdict",
    "decode_chunk",
    "is_ended",
    "marker",
    "percentile_ms",
    "progress_document",
    "queued_document",
    "shown",
    "timestamp",
    "told_in_vain",
    "unix_ms_of",
]

#: Counting costs some 100 ns for each run before it.
MAX_POSITION = 100_000
#: No retention may be shorter: a run may last a day, and people look at it the day after.
MIN_DAYS = 3


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
        are no more yet. Where lines are missing between two others, a marker says how many (recorder/gaps.py), beyond
        the limit.
        """

    @abstractmethod
    def search_lines(self, query: LineQuery) -> FoundPage:
        """Looks through the log for about a second at most; the page's cursor goes on from there. Raises BadCursor."""

    @abstractmethod
    def activity(self, query: ActivityQuery) -> list[Activity]:
        """One entry for each function and bucket in which anything happened, by time. Costs the same however many runs
        there are. Waits of runs that an earlier version recorded are not known.
        """

    @abstractmethod
    def queued(self) -> list[QueuedRuns]:
        """What waits, by function, the oldest first. Costs some 100 ns for each queued run."""

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
        """Creates or upgrades the database; several may do so at once. Called in the thread that will call `apply`.
        Raises HistoryUnavailable, HistoryTooNew.
        """

    @abstractmethod
    def schema_version(self) -> int:
        """Of the database as it is; 0: it is empty, or not there yet. What this version writes: `known_version`."""

    @property
    @abstractmethod
    def known_version(self) -> int: ...

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people: a path, or an address without its password."""

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
