"""When each run was in flight, and what came twice: from the raw ledger, intents and log of ticks."""

from __future__ import annotations

import bisect
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from processor.core.clock import Clock
from processor.core.errors import Undecodable
from processor.core.inflight import Intent
from processor.core.ledger import Accepted, Ended, Position, decode
from processor.core.run import Delivery
from processor.core.topics import INFLIGHT, RUNS
from processor.transport.abstract import Record, Transport
from processor.transport.replay import read_to_end

CALL_SEC = 10.0
READ_SEC = 1_800.0
#: In flight so long before or after a fault counts as near it.
NEAR_MS = 5_000
#: A clock is never set further ahead.
FAR_SEC = 7_200
FILES = "files"
TICKS = "ticks"
#: Of the ids of scheduled events, for ever: another one would fire every time again.
TICKS_NAMESPACE = uuid.UUID("7b0f2a52-5d0f-5c0e-9a3e-2d1c6a4f7e10")


@dataclass(slots=True)
class Timeline:
    accepted_ms: dict[str, int] = field(default_factory=dict)
    #: Of the last verdict of a run: what is repeated is in flight again.
    ended_ms: dict[str, int] = field(default_factory=dict)
    #: When the sender had its first acknowledgement.
    told_ms: Mapping[str, int] = field(default_factory=dict)
    #: Files that became runs -> their RequestIds.
    files: dict[str, set[str]] = field(default_factory=dict)
    #: Ids of the events of the schedule, and where they say they come from.
    ticks: set[str] = field(default_factory=set)
    schedule: str = ""
    #: `accepted` of one place on the intake log, written once more: a dispatcher did it twice.
    dispatched_again: int = 0
    #: Claims of one delivery beyond the first: the others were refused, or nobody knew.
    void_intents: int = 0

    def near(self, faults: Iterable[tuple[int, int]]) -> int:
        """Runs in flight within NEAR_MS of a fault. faults: begin and end of each, ms."""
        spans = _merged((begin - NEAR_MS, end + NEAR_MS) for begin, end in faults)
        begins = [begin for begin, _ in spans]
        return sum(self._was_near(run, spans, begins) for run in self.accepted_ms)

    def _was_near(self, run: str, spans: list[tuple[int, int]], begins: list[int]) -> bool:
        """By the log's clock; or by the sender's, since an embedded log has the clock that we set wrong."""
        told_ms = self.told_ms.get(run)
        if told_ms is not None and _touches(told_ms, told_ms, spans, begins):
            return True
        return _touches(self.accepted_ms[run], self.ended_ms.get(run, 1 << 62), spans, begins)


def read_timeline(transport: Transport, clock: Clock) -> Timeline:
    """Blocks. Raises TransportError."""
    found = Timeline()
    places: set[tuple[str, Position]] = set()
    claims: dict[Delivery, set[tuple[str, int]]] = {}
    reader = transport.reader()
    try:
        for record in read_to_end(reader, reader.partitions(RUNS.name, CALL_SEC), clock, timeout_sec=READ_SEC):
            _take(found, places, record)
        for record in read_to_end(reader, reader.partitions(INFLIGHT.name, CALL_SEC), clock, timeout_sec=READ_SEC):
            if record.value is not None:
                intent = Intent.decode(record.value)
                claims.setdefault(intent.delivery, set()).add((intent.executor, intent.batch))
    finally:
        reader.close()
    found.void_intents = sum(len(each) - 1 for each in claims.values())
    return found


def _take(found: Timeline, places: set[tuple[str, Position]], record: Record) -> None:
    try:
        entry = decode(record.value)
    except Undecodable:
        return  # the audit counts it
    if isinstance(entry, Ended):
        found.ended_ms[entry.request_id] = record.timestamp_ms
    elif isinstance(entry, Accepted):
        found.accepted_ms.setdefault(entry.request_id, record.timestamp_ms)
        place = (entry.request_id, entry.intake)
        found.dispatched_again += place in places
        places.add(place)
        if entry.function == FILES and entry.subject:
            found.files.setdefault(entry.subject, set()).add(entry.request_id)
        if entry.function == TICKS:
            found.ticks.add(entry.event_id)
            found.schedule = entry.source


def _touches(begun_ms: int, ended_ms: int, spans: list[tuple[int, int]], begins: list[int]) -> bool:
    """The last span that begins before the end is the only one that can be long enough."""
    at = bisect.bisect_right(begins, ended_ms) - 1
    return at >= 0 and spans[at][1] >= begun_ms


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def missing_ticks(
    schedule: str, ids: Collection[str], begun_sec: int, ended_sec: int, ahead_sec: int | None = None
) -> list[str]:
    """Seconds without an event between the first and the last that has one. The identity is worked out here as the
    documentation states it: name-based on schedule and nominal time.

    ahead_sec: when the clock of the schedule was first set ahead. What was due then and not yet fired counts as missed
    for an hour, so its rules for that apply, and what comes afterwards says nothing.
    """
    name = schedule.removeprefix("cron:")
    last_sec = ended_sec if ahead_sec is None else ended_sec + FAR_SEC
    seconds = {
        each: str(uuid.uuid5(TICKS_NAMESPACE, f"{name}\n{_utc(each)}")) for each in range(begun_sec, last_sec + 1)
    }
    fired = {second for second, id_ in seconds.items() if id_ in ids}
    if len(fired) != len(ids):
        return [f"{len(ids) - len(fired)} events of a time that is none of the schedule"]
    looked_at = fired if ahead_sec is None else {each for each in fired if each <= ahead_sec}
    until_sec = max(looked_at, default=-1)
    return [_utc(each) for each in range(min(fired, default=0), until_sec) if each not in fired]


def _utc(unix_sec: int) -> str:
    return datetime.fromtimestamp(unix_sec, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lost_and_doubled(dropped: Iterable[str], runs: Mapping[str, set[str]]) -> tuple[list[str], list[str]]:
    """Of the files: those that became no run, and those that became several."""
    names = sorted(dropped)
    return [each for each in names if each not in runs], [each for each in names if len(runs.get(each, ())) > 1]
