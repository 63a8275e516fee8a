"""When a time zone changes its clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY_SEC = 86_400


class Span(NamedTuple):
    """A time without a change of the clocks; Unix seconds, the end not included."""

    start: int
    end: int
    #: Clock on the wall = UTC + this.
    offset: int


def span_at(zone: ZoneInfo, utc_sec: int) -> Span:
    year = datetime.fromtimestamp(utc_sec, UTC).year
    return next(each for each in _spans_of(zone, year) if utc_sec < each.end)


@lru_cache(maxsize=1_024)
def _spans_of(zone: ZoneInfo, year: int) -> tuple[Span, ...]:
    """One year of UTC, looked at day by day: no zone has changed its clocks twice in one."""
    at, end = _new_year(year), _new_year(year + 1)
    spans: list[Span] = []
    start, offset = at, _offset(zone, at)
    while at < end:
        before, at = at, min(at + _DAY_SEC, end)
        if _offset(zone, at) != offset:
            change = _change(zone, before, at, offset)
            spans.append(Span(start, change, offset))
            start, offset = change, _offset(zone, change)
    return (*spans, Span(start, end, offset)) if start < end else tuple(spans)


def _change(zone: ZoneInfo, before: int, after: int, offset: int) -> int:
    """The first second with another offset than at `before`."""
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(zone, middle) == offset else (before, middle)
    return after


def _offset(zone: ZoneInfo, utc_sec: int) -> int:
    offset = datetime.fromtimestamp(utc_sec, zone).utcoffset()
    assert offset is not None  # a zone always has one
    return offset.days * _DAY_SEC + offset.seconds


def _new_year(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
