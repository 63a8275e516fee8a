"""What is counted while it is recorded, so that an overview need not read runs: per function and minute, how many were
accepted, ended, and waited how long.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from processor.recorder.queries import Activity, ActivityQuery

MINUTE_MS = 60_000
#: The widths that are counted in: an overview of a day or a month must not add up minutes.
WIDTHS_MS = (MINUTE_MS, 10 * MINUTE_MS, 60 * MINUTE_MS)
ACCEPTED, ENDED, WAITED = "accepted", "ended", "waited"
#: Steps of a wait per factor of ten: each is 21 % wide, so a wait is off by 10 % at most.
_STEPS_PER_DECADE = 12


class Fact(NamedTuple):
    """One thing that a run adds one to."""

    #: Whole minutes since 1970.
    minute: int
    function: str
    #: ACCEPTED, ENDED or WAITED.
    measure: str
    #: A status; for WAITED the step.
    value: str


def facts(function: str, status: str, accepted_ms: int, ended_ms: int | None) -> list[Fact]:
    found = [Fact(accepted_ms // MINUTE_MS, function, ACCEPTED, status)]
    if ended_ms is not None:
        found.append(Fact(ended_ms // MINUTE_MS, function, ENDED, status))
    return found


def waited(function: str, accepted_ms: int, waited_ms: int) -> Fact:
    return Fact((accepted_ms + waited_ms) // MINUTE_MS, function, WAITED, str(wait_step(waited_ms)))


class Tally(NamedTuple):
    """The key of a row."""

    width_ms: int
    start_ms: int
    measure: str
    function: str
    value: str


def wait_step(wait_ms: float) -> int:
    return round(math.log10(max(wait_ms, 1.0)) * _STEPS_PER_DECADE)


def wait_of_step(step: int) -> float:
    """In the middle of the step, in milliseconds."""
    return float(round(10 ** (step / _STEPS_PER_DECADE)))


def count(before: Iterable[Fact], after: Iterable[Fact]) -> Counter[Tally]:
    """What has to be added to the rows when runs change from one to the other."""
    changes = Counter(after)
    changes.subtract(before)
    tallies: Counter[Tally] = Counter()
    for (minute, function, measure, value), change in changes.items():
        if change:
            for width in WIDTHS_MS:
                start_ms = minute * MINUTE_MS // width * width
                tallies[Tally(width, start_ms, measure, function, value)] += change
    return tallies


def width_for(query: ActivityQuery) -> int:
    """The widest that the buckets can be put together from."""
    return max(width for width in WIDTHS_MS if query.bucket_ms % width == 0 or width == MINUTE_MS)


def widened(query: ActivityQuery) -> tuple[int, int]:
    """The range in whole buckets."""
    width = query.bucket_ms
    return query.since_ms - query.since_ms % width, query.until_ms + -query.until_ms % width


def activities(rows: Iterable[Mapping[str, Any]]) -> list[Activity]:
    """rows: bucket_ms, function, measure, value, runs; in order of bucket_ms."""
    found: dict[tuple[int, str], dict[str, dict[str, int]]] = {}
    for row in rows:
        measures = found.setdefault((row["bucket_ms"], row["function"]), {ACCEPTED: {}, ENDED: {}, WAITED: {}})
        if row["runs"] > 0:
            measures[row["measure"]][row["value"]] = int(row["runs"])
    return [
        Activity(
            start_ms=start_ms,
            function=function,
            accepted=measures[ACCEPTED],
            ended=measures[ENDED],
            waits={wait_of_step(int(step)): runs for step, runs in measures[WAITED].items()},
        )
        for (start_ms, function), measures in found.items()
        if any(measures.values())
    ]
