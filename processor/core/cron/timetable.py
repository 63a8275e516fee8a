from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from processor.core.cron.expression import CronExpression
from processor.core.cron.field import YEAR
from processor.core.cron.wall import WallTimes
from processor.core.cron.zone import Span, span_at

_END_SEC = int(datetime(YEAR.high + 1, 1, 1, tzinfo=UTC).timestamp())
_BEGIN_SEC = int(datetime(YEAR.low, 1, 1, tzinfo=UTC).timestamp())
#: Each search is asked for several times over: what is due, what has passed, what comes next.
_REMEMBERED = 16


class Timetable:
    """The firing times of an expression in a time zone; all of them Unix seconds.

    Debian's rule for changes of the clock: what goes by the clock on the wall (a star at the beginning of minute or
    hour) fires whenever the wall shows a time that matches; anything else fires once for each day it is meant for:
    right after the gap for times that the clock jumps over, and only the first time for times it shows twice.
    """

    def __init__(self, expression: CronExpression, zone: ZoneInfo) -> None:
        self._wall = WallTimes(expression)
        self._zone = zone
        self._by_the_clock = expression.by_the_clock
        self._search = lru_cache(_REMEMBERED)(self._after)

    @property
    def fires(self) -> bool:
        """Whether the calendar has any day for it, from 1970 to 2099."""
        return self._wall.after(_BEGIN_SEC - 1) is not None

    def after(self, utc_sec: int) -> int | None:
        """The first firing after it; None when there is none up to 2099. Takes some 20 microseconds."""
        return self._search(utc_sec) if utc_sec < _END_SEC else None

    def between(self, after_sec: int, until_sec: int) -> Iterator[int]:
        """Those after the first and not after the second."""
        at = self.after(after_sec) if after_sec < until_sec else None
        while at is not None and at <= until_sec:
            yield at
            at = self.after(at)

    def upcoming(self, after_sec: int, count: int) -> list[int]:
        return list(islice(self.between(after_sec, _END_SEC), count))

    def newest(self, after_sec: int, until_sec: int, count: int) -> list[int]:
        """The last `count` of `between`, or some more, without going through all that lies before them."""
        reach_sec = max(2 * count, 60)
        while True:
            start_sec = max(after_sec, until_sec - reach_sec)
            found = list(self.between(start_sec, until_sec))
            if len(found) >= count or start_sec <= after_sec:
                return found
            reach_sec *= 4

    def _after(self, utc_sec: int) -> int | None:
        return self._after_by_the_clock(utc_sec) if self._by_the_clock else self._after_at_fixed_times(utc_sec)

    def _after_by_the_clock(self, utc_sec: int) -> int | None:
        while utc_sec < _END_SEC:
            span = span_at(self._zone, utc_sec + 1)
            wall = self._wall.after(utc_sec + span.offset)
            if wall is not None and wall - span.offset < span.end:
                return wall - span.offset
            utc_sec = span.end - 1
        return None

    def _after_at_fixed_times(self, utc_sec: int) -> int | None:
        wall = self._wall.after(self._latest_wall(utc_sec))
        return None if wall is None else self._first_utc(wall)

    def _latest_wall(self, utc_sec: int) -> int:
        """What the wall has shown at most, so far: after it was set back, what it shows has been there before."""
        span = span_at(self._zone, utc_sec)
        before = span_at(self._zone, span.start - 1)
        return max(utc_sec + span.offset, span.start + before.offset - 1)

    def _first_utc(self, wall_sec: int) -> int:
        """When the wall shows it for the first time; if never, the moment it jumps over it."""
        face = datetime.fromtimestamp(wall_sec, UTC).replace(tzinfo=self._zone, fold=0)
        utc_sec = int(face.timestamp())
        span: Span = span_at(self._zone, utc_sec)
        return utc_sec if utc_sec + span.offset == wall_sec else span.start
