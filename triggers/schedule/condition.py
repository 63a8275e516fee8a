"""Pure: the next times of a schedule, and what is wrong with it besides its source."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from processor.core.errors import HeadraceError
from triggers.schedule.errors import ClockBehind, ClockDiffers
from triggers.schedule.firing import rfc3339
from triggers.schedule.settings import Schedule

#: Clocks of several machines differ by less, when they are kept right at all.
CLOCKS_SEC = 1.0
BEHIND_SEC = 2.0
UPCOMING = 5


def clock_trouble(settled_sec: int, now_sec: float, ahead_sec: float) -> HeadraceError | None:
    """ahead_sec: of the log's clock. ClockBehind: nothing fires for now. ClockDiffers: it fires, at a wrong time."""
    if settled_sec - now_sec > BEHIND_SEC:
        return ClockBehind(settled_sec - now_sec)
    if abs(ahead_sec) > CLOCKS_SEC:
        return ClockDiffers(ahead_sec)
    return None


class Upcoming:
    """Kept up to date rather than made anew: somebody asks for it twice a second, for each of a thousand schedules."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        #: Unix seconds, and as text.
        self._next: deque[tuple[int, str]] = deque()
        self._since_sec = 0

    def after(self, now_sec: int) -> tuple[str, ...]:
        """The next times, RFC 3339 in the schedule's zone."""
        if now_sec < self._since_sec:  # the clock was set back
            self._next.clear()
        self._since_sec = now_sec
        while self._next and self._next[0][0] <= now_sec:
            self._next.popleft()
        last = self._next[-1][0] if self._next else now_sec
        more = self._schedule.timetable.upcoming(last, UPCOMING - len(self._next))
        self._next.extend((each, self._text(each)) for each in more)
        return tuple(text for _, text in self._next)

    def _text(self, utc_sec: int) -> str:
        if self._schedule.zone.key == "UTC":
            return rfc3339(utc_sec)
        return datetime.fromtimestamp(utc_sec, self._schedule.zone).isoformat()
