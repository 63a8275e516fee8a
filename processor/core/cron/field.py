"""One field of a cron expression: stars, numbers, names, ranges, steps and lists of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from processor.core.errors import HeadraceError

_TERM = re.compile(r"(?P<first>\*|[0-9]{1,4}|[A-Z]+)(?:-(?P<last>[0-9]{1,4}|[A-Z]+))?(?:/(?P<step>[0-9]{1,4}))?")
_NTH = re.compile(r"(?P<weekday>[0-7]|[A-Z]{3})(?:#(?P<nth>[1-5])|L)")
#: The position of `FRIL`, behind those of the first to the fifth.
LAST = 6


class BadCron(HeadraceError):
    """This is not a cron expression."""

    remedy = 'Write 5, 6 or 7 fields, such as "0 2 * * *".'

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldKind:
    name: str
    low: int
    high: int
    #: The names of its values, from `low` on.
    names: tuple[str, ...] = ()


SECOND = FieldKind(name="second", low=0, high=59)
MINUTE = FieldKind(name="minute", low=0, high=59)
HOUR = FieldKind(name="hour", low=0, high=23)
DAY = FieldKind(name="day", low=1, high=31)
MONTH = FieldKind(
    name="month",
    low=1,
    high=12,
    names=("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
#: 0 and 7 are Sunday.
WEEKDAY = FieldKind(name="weekday", low=0, high=7, names=("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
YEAR = FieldKind(name="year", low=1970, high=2099)


@dataclass(frozen=True, kw_only=True, slots=True)
class NthWeekday:
    weekday: int
    #: 1 to 5, or LAST.
    position: int


def values_of(field: str, kind: FieldKind) -> tuple[int, ...]:
    """field: in upper case. Raises BadCron."""
    found: set[int] = set()
    for term in field.split(","):
        found.update(_values_of_term(term, kind))
    return tuple(sorted(found))


def is_nth_weekday(term: str) -> bool:
    return "#" in term or (term.endswith("L") and term != "L")


def nth_weekday(term: str) -> NthWeekday:
    match = _NTH.fullmatch(term)
    if match is None:
        raise BadCron(f"has the weekday {term!r}", "write FRI#2 for the second and FRIL for the last Friday of a month")
    weekday = _number(match["weekday"], WEEKDAY, term) % 7
    return NthWeekday(weekday=weekday, position=int(match["nth"] or LAST))


def _values_of_term(term: str, kind: FieldKind) -> range:
    match = _TERM.fullmatch(term)
    if match is None or (match["first"] == "*" and match["last"]):
        raise BadCron(f"has the {kind.name} {term!r}", f"use {_allowed(kind)}, lists (1,2), ranges (1-5), steps (*/5)")
    first, last = _bounds(match["first"], match["last"], match["step"], kind, term)
    step = int(match["step"] or 1)
    if not step:
        raise BadCron(f"has the {kind.name} {term!r}", "use a step of at least 1")
    if first > last:
        raise BadCron(f"has the {kind.name} {term!r}, which ends before it begins", "split it into two ranges")
    return range(first, last + 1, step)


def _bounds(first: str, last: str | None, step: str | None, kind: FieldKind, term: str) -> tuple[int, int]:
    if first == "*":
        return kind.low, kind.high
    low = _number(first, kind, term)
    if last is None:
        return low, kind.high if step else low
    high = _number(last, kind, term)
    # FRI-SUN: a week that begins with Sunday also ends with it.
    return low, 7 if kind is WEEKDAY and last == "SUN" and low else high


def _number(text: str, kind: FieldKind, term: str) -> int:
    if text in kind.names:
        return kind.low + kind.names.index(text)
    if not text.isdigit() or not kind.low <= int(text) <= kind.high:
        raise BadCron(f"has the {kind.name} {term!r}", f"use {_allowed(kind)}")
    return int(text)


def _allowed(kind: FieldKind) -> str:
    names = f" or {kind.names[0]}-{kind.names[-1]}" if kind.names else ""
    return f"{kind.low}-{kind.high}{names}"
