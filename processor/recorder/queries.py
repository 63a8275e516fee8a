"""What the history can be asked, and how it answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from processor.core.run import Status
from processor.recorder.document import RunDocument
from processor.recorder.errors import BadCursor

#: Entries of one page of `list_runs` and `search_lines`, and lines of one `get_lines`.
MAX_PAGE = 1_000
#: What the `limit` of a query may be.
PAGE_LIMITS = range(1, MAX_PAGE + 1)
#: Levels by name, as Python's `logging` numbers them.
LEVELS: Mapping[str, int] = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_ALSO_CALLED = {"WARN": 30, "FATAL": 50}
_OTHER_LEVEL = 20
#: One less than a database has, for what is counted on from there.
_NUMBERS = range(-(2**63), 2**63 - 1)


def level_number(name: str | None) -> int:
    """0 for a line without a level (what a function printed); a level of its own making counts as INFO."""
    if name is None:
        return 0
    return LEVELS.get(name) or _ALSO_CALLED.get(name) or _OTHER_LEVEL


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
    #: That ended with this code.
    status_code: int | None = None
    #: Only runs accepted at or after this time.
    since_ms: int | None = None
    #: Only runs accepted before this time.
    until_ms: int | None = None
    #: Kind of source: "http", "kafka", ...
    trigger: str | None = None
    #: The event's `source`, whole.
    source: str | None = None
    #: Somewhere in the RequestId, the subject or the error's type or message; case of ASCII letters does not matter.
    text: str | None = None
    #: `RunPage.cursor` of the page before.
    cursor: str | None = None
    limit: int = 50

    @property
    def narrowed(self) -> bool:
        """Asks for something that no index has: rows have to be looked through."""
        return any(each is not None for each in (self.status_code, self.trigger, self.source, self.text))


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPage:
    #: Newest first; without `result`, which can have a megabyte: ask for the run itself. With filters that no index
    #: serves a page may be short, or empty, and still have a cursor: the time for one look was over.
    runs: list[RunDocument]
    #: For the next page; None when this is the last.
    cursor: str | None
    #: Everything accepted after this has been looked through; None: everything that was asked for.
    searched_to_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LineQuery:
    """Which log lines to find. At least the time should be narrowed where there is much."""

    function: str | None = None
    request_id: str | None = None
    #: With request_id: of this delivery; None: of the newest.
    delivery: str | None = None
    #: Lines of this level and above, a name of LEVELS; lines without a level are left out then.
    level: str | None = None
    #: Somewhere in the line; case of ASCII letters does not matter.
    text: str | None = None
    #: Lines from this time on, by the clock of the host that read them.
    since_ms: int | None = None
    #: Lines before this time.
    until_ms: int | None = None
    #: `FoundPage.cursor` of the page before, with the other fields unchanged.
    cursor: str | None = None
    limit: int = 200


class FoundLine(NamedTuple):
    request_id: str
    function: str
    delivery: str
    line: LogLine


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPage:
    #: Newest first.
    lines: list[FoundLine]
    #: To search on from where this page ended, whether it is full or the time for one look was over; None: all found.
    cursor: str | None
    #: Everything after this has been looked through; None: everything that was asked for.
    searched_to_ms: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivityQuery:
    since_ms: int
    until_ms: int
    #: Width of a bucket: whole minutes. The range is widened to whole buckets.
    bucket_ms: int
    function: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What happened to one function in one bucket of time."""

    start_ms: int
    function: str
    #: Runs accepted in it, by the status that they have now.
    accepted: Mapping[str, int]
    #: Runs ended in it, by status.
    ended: Mapping[str, int]
    #: How long those waited that were started in it, in milliseconds (some 10 % exact) -> how many.
    waits: Mapping[float, int]


class QueuedRuns(NamedTuple):
    """What waits in the queue of one function."""

    function: str
    runs: int
    #: When the oldest was accepted.
    oldest_ms: int


class Place(NamedTuple):
    """Where a page ended: runs are ordered by (time accepted, number of the row)."""

    at_ms: int
    row: int

    def cursor(self) -> str:
        return _packed(f"{self.at_ms}.{self.row}")

    @classmethod
    def parse(cls, cursor: str) -> Place:
        """Raises BadCursor."""
        return cls(*_numbers(cursor, "", 2))


class LinePlace(NamedTuple):
    """Where a page of found lines ended: before the line `seq` of the piece of log `row`. Pieces are ordered by (key,
    row), where key is when they came in, or for the lines of one run the seq of their first line.
    """

    key: int
    row: int
    seq: int

    def cursor(self) -> str:
        return _packed(f"l{self.key}.{self.row}.{self.seq}")

    @classmethod
    def parse(cls, cursor: str) -> LinePlace:
        """Raises BadCursor."""
        return cls(*_numbers(cursor, "l", 3))


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _numbers(cursor: str, kind: str, count: int) -> list[int]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True).decode("ascii")
        numbers = [int(each) for each in text.removeprefix(kind).split(".")]
        if not text.startswith(kind) or len(numbers) != count or any(each not in _NUMBERS for each in numbers):
            raise ValueError(text)
    except (ValueError, binascii.Error) as error:
        raise BadCursor(f"{cursor[:100]!r} is not a cursor of this list") from error
    return numbers


def percentile_ms(waits: Mapping[float, int], share: float) -> float | None:
    """The wait below which `share` (0..1) of them lie; None without any. waits: as in `Activity`, of several added."""
    left = share * sum(waits.values())
    for wait_ms in sorted(waits):
        left -= waits[wait_ms]
        if left <= 0:
            return wait_ms
    return None
