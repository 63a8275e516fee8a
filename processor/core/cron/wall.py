"""The times an expression matches on the face of a clock, which knows no zones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from processor.core.cron.expression import CronExpression
from processor.core.cron.field import DAY, HOUR, LAST, MINUTE, MONTH, SECOND, WEEKDAY, FieldKind, NthWeekday

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th", LAST: "last"}


class WallTimes:
    """APScheduler searches the calendar. It gets numbers and weekday names only, one trigger for each alternative, and
    UTC as its zone: its own reading differs from cron's in weekday numbers, in day and weekday (both must match), and
    at changes of the clock (twice in autumn, a time that does not exist in spring).
    """

    def __init__(self, expression: CronExpression) -> None:
        self._triggers = [_trigger(expression, days, weekdays) for days, weekdays in _alternatives(expression)]

    def after(self, wall_sec: int) -> int | None:
        """The first match after it; both in seconds from the first of January 1970 on the clock's face."""
        start = _EPOCH + timedelta(seconds=wall_sec) + _SECOND
        found = [each.get_next_fire_time(None, start) for each in self._triggers]
        times = [each for each in found if each is not None]
        return (min(times) - _EPOCH) // _SECOND if times else None


def _alternatives(expression: CronExpression) -> Iterator[tuple[str, str]]:
    """The days as APScheduler's day and day_of_week, both of which must match."""
    days = ",".join([*_runs(expression.days, DAY), *(["last"] if expression.last_day else [])])
    weekdays = ",".join(_weekday(each) for each in expression.weekdays)
    if len(expression.weekdays) == WEEKDAY.high:
        weekdays = "*"
    if not expression.both_days:
        yield days, "*"
        days = "*"
    if weekdays:
        yield days, weekdays
    for each in expression.nth_weekdays:
        yield _nth(each), "*"


def _trigger(expression: CronExpression, days: str, weekdays: str) -> Any:
    from apscheduler.triggers.cron import CronTrigger  # a tenth of a second: only for processes that have schedules

    trigger: Any = CronTrigger  # it has no types
    return trigger(
        year=",".join(_ranges(expression.years)),
        month=",".join(_runs(expression.months, MONTH)),
        day=days,
        day_of_week=weekdays,
        hour=",".join(_runs(expression.hours, HOUR)),
        minute=",".join(_runs(expression.minutes, MINUTE)),
        second=",".join(_runs(expression.seconds, SECOND)),
        timezone=UTC,
    )


def _runs(values: tuple[int, ...], kind: FieldKind) -> Iterable[str]:
    return ["*"] if values == tuple(range(kind.low, kind.high + 1)) else _ranges(values)


def _ranges(values: tuple[int, ...]) -> Iterator[str]:
    """1,2,3,7 as 1-3 and 7: each of them costs a step of the search."""
    for place, first in enumerate(values):
        if place and values[place - 1] == first - 1:
            continue
        last = first
        while last + 1 in values[place:]:
            last += 1
        yield f"{first}-{last}"


def _weekday(number: int) -> str:
    return WEEKDAY.names[number].lower()


def _nth(each: NthWeekday) -> str:
    return f"{_ORDINALS[each.position]} {_weekday(each.weekday)}"
