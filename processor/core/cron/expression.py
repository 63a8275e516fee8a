"""Reads a cron expression of 5, 6 (seconds first) or 7 fields (year last, as Tencent SCF has them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processor.core.cron.field import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    WEEKDAY,
    YEAR,
    BadCron,
    FieldKind,
    NthWeekday,
    is_nth_weekday,
    nth_weekday,
    values_of,
)

#: Ours, because no two libraries agree on theirs. All of them in the schedule's time zone.
MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (5, 6, 7)
_LAST_DAY = "L"
#: No expression of use is longer, and reading one must not take long.
_MAX_CHARS = 1_000

__all__ = ["MACROS", "BadCron", "CronExpression", "parse"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CronExpression:
    """What each field allows, sorted. 0 is Sunday."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    years: tuple[int, ...]
    #: `L` in the day field: the month's last day, whichever it is.
    last_day: bool
    #: `FRI#2`, `FRIL` in the weekday field.
    nth_weekdays: tuple[NthWeekday, ...]
    #: Vixie's rule: day and weekday must both match if one of them begins with a star; else one is enough.
    both_days: bool
    #: Debian's rule: with a star at the beginning of minute or hour it goes by the clock on the wall; else it is meant
    #: to run at certain times of each day, whatever the clocks do.
    by_the_clock: bool


def parse(text: str) -> CronExpression:
    """Raises BadCron. Whether it ever fires is another question: Timetable.fires."""
    second, minute, hour, day, month, weekday, year = _seven(text)
    days, last_day = _days(day)
    weekdays, nth_weekdays = _weekdays(weekday)
    return CronExpression(
        seconds=values_of(second, SECOND),
        minutes=values_of(minute, MINUTE),
        hours=values_of(hour, HOUR),
        days=days,
        months=values_of(month, MONTH),
        weekdays=weekdays,
        years=values_of(year, YEAR),
        last_day=last_day,
        nth_weekdays=nth_weekdays,
        both_days=_both_days(day, weekday, nth_weekdays),
        by_the_clock=minute.startswith("*") or hour.startswith("*"),
    )


def _seven(text: str) -> list[str]:
    """All seven fields in upper case, `?` as the star that it means."""
    if len(text) > _MAX_CHARS:
        raise BadCron("is too long", f"use at most {_MAX_CHARS:,} characters")
    fields = _without_macro(text).upper().split()
    if len(fields) not in _FIELDS:
        raise BadCron(
            f"has {len(fields)} field{'s' * (len(fields) != 1)}",
            'write 5 (minute hour day month weekday), 6 (seconds first) or 7 (year last), such as "0 2 * * *"',
        )
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) == 6:
        fields.append("*")
    return [_without_question_mark(field, kind) for field, kind in zip(fields, _KINDS, strict=True)]


_KINDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, YEAR)


def _without_macro(text: str) -> str:
    if not text.strip().startswith("@"):
        return text
    try:
        return MACROS[text.strip().lower()]
    except KeyError:
        raise BadCron("is not a macro", f"use one of {', '.join(MACROS)}, or write the fields") from None


def _without_question_mark(field: str, kind: FieldKind) -> str:
    if "?" not in field:
        return field
    if field != "?" or kind not in (DAY, WEEKDAY):
        raise BadCron(f"has a ? in its {kind.name} {field!r}", "write ? alone, in day or weekday; elsewhere *")
    return "*"


def _days(field: str) -> tuple[tuple[int, ...], bool]:
    if "W" in field:
        raise BadCron(
            f"has a W in its day {field!r}", "W (the nearest workday) is not offered: use MON-FRI in the weekday field"
        )
    plain, special = _apart(field, lambda term: term == _LAST_DAY)
    return (values_of(plain, DAY) if plain else ()), bool(special)


def _weekdays(field: str) -> tuple[tuple[int, ...], tuple[NthWeekday, ...]]:
    plain, special = _apart(field, is_nth_weekday)
    weekdays = values_of(plain, WEEKDAY) if plain else ()
    return tuple(sorted({each % 7 for each in weekdays})), tuple(nth_weekday(each) for each in special)


def _apart(field: str, is_special: Callable[[str], bool]) -> tuple[str, list[str]]:
    terms = field.split(",")
    return ",".join(each for each in terms if not is_special(each)), [each for each in terms if is_special(each)]


def _both_days(day: str, weekday: str, nth_weekdays: tuple[NthWeekday, ...]) -> bool:
    if nth_weekdays and day.startswith("*") and day != "*":
        raise BadCron(
            f"has the day {day!r} together with the weekday {weekday!r}", "write * for the day, or the days in full"
        )
    return day.startswith("*") or weekday.startswith("*")
