"""cronsim, which does as Debian's cron does, is asked for the same times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.core.cron import Timetable, parse

ZONES = ("Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Africa/Casablanca", "Australia/Lord_Howe")

#: Fixed times (a star begins neither minute nor hour) around the hours at which clocks change.
FIXED = ("30 2 * * *", "0 0 * * *", "30 1-3 * * *", "0 2,3 * * *", "15 2 29 2 *", "10 4 13 * FRI", "0 12 L * *")
#: By the clock on the wall.
WALL = ("*/30 * * * *", "45 */2 * * *", "*/20 1-3 * * SUN", "0 * 1 */3 *", "5 */6 */9 * MON-FRI")


def oracle(cron: str, zone: ZoneInfo, begin: int) -> Iterator[int]:
    for each in CronSim(cron, datetime(begin, 1, 1, tzinfo=UTC).astimezone(zone)):
        yield int(each.timestamp())


def assert_same(cron: str, zone_name: str, begin: int, end: int, asked: str = "") -> None:
    """asked: the expression of ours that has to mean the same."""
    zone = ZoneInfo(zone_name)
    start, stop = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (begin, end))
    ours = Timetable(parse(asked or cron), zone).between(start, stop)
    for mine, theirs in zip(ours, oracle(cron, zone, begin), strict=False):
        assert mine == theirs, f"{cron}: {datetime.fromtimestamp(mine, zone)}, {datetime.fromtimestamp(theirs, zone)}"


#: Where cronsim's steps of whole hours miss times: Lord Howe sets its clock back by half an hour; the two others had
#: days that began at one o'clock. `test_every_minute_around_a_change_is_looked_at` goes without it.
BEYOND_CRONSIM = {
    *(("Australia/Lord_Howe", cron) for cron in WALL[1:]),
    ("America/Sao_Paulo", "*/20 1-3 * * SUN"),
    ("Africa/Casablanca", "*/20 1-3 * * SUN"),
}
CASES = [(zone, cron) for zone in ZONES for cron in (*FIXED, *WALL) if (zone, cron) not in BEYOND_CRONSIM]


@pytest.mark.parametrize(("zone", "cron"), CASES)
def test_a_year_is_that_of_cronsim(zone: str, cron: str) -> None:
    assert_same(cron, zone, 2026, 2027)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("zone", "cron"), CASES)
def test_twenty_years_are_those_of_cronsim(zone: str, cron: str) -> None:
    assert_same(cron, zone, 2010, 2030)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", FIXED)
def test_with_seconds_and_year_it_is_the_same_schedule(cron: str, zone: str) -> None:
    """cronsim gives up Debian's rule when there are seconds; `0 30 2 * * *` is still half past two of each day here."""
    assert_same(cron, zone, 2026, 2027, f"0 {cron}")
    assert_same(cron, zone, 2026, 2027, f"0 {cron} *")


@pytest.mark.parametrize("cron", ["*/10 * * * * *", "7,50 */3 * * * *", "30 15 * 1 * *"])
def test_seconds_by_the_clock_on_the_wall_are_those_of_cronsim(cron: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = int(datetime(2026, 10, 24, 22, tzinfo=UTC).timestamp())
    ours = Timetable(parse(cron), zone).upcoming(start, 1_500)
    theirs = CronSim(cron, datetime.fromtimestamp(start, zone))
    assert ours == [int(next(theirs).timestamp()) for _ in ours]


_FIELDS = (
    ((0, 59), ("*", "*/7", "*/30")),
    ((0, 23), ("*", "*/5", "1-3")),
    ((1, 28), ("*", "*/2", "L")),
    ((1, 12), ("*", "*/3", "JAN-JUN")),
    ((0, 7), ("*", "MON-FRI", "SUN", "2#3", "5L")),
)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    fields = [draw(_field(low, high, words)) for (low, high), words in _FIELDS]
    if "#" in fields[4] or "L" in fields[4]:
        fields[2] = "*"
    return " ".join(fields)


def _field(low: int, high: int, words: tuple[str, ...]) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    return st.one_of(
        st.sampled_from(words),
        numbers.map(str),
        st.lists(numbers, min_size=2, max_size=4).map(lambda found: ",".join(map(str, found))),
        st.integers(low, high - 1).map(lambda first: f"{first}-{high}/3"),
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(expressions(), st.sampled_from(ZONES[:2]), st.integers(2010, 2029), st.integers(1, 12))
def test_any_expression_has_the_times_of_cronsim(cron: str, zone_name: str, year: int, month: int) -> None:
    zone = ZoneInfo(zone_name)
    start = datetime(year, month, 1, tzinfo=UTC)
    ours = Timetable(parse(cron), zone).upcoming(int(start.timestamp()), 100)
    theirs = CronSim(cron, start.astimezone(zone))
    assert ours == [int(next(theirs).timestamp()) for _ in ours]


#: Spring: 2026-03-29 02:00 becomes 03:00. Autumn: 2026-10-25 03:00 becomes 02:00.
@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("30 2 * * *", "2026-10-25", ["02:30+02:00"]),
        ("0 30 2 * * * *", "2026-03-29", ["03:00+02:00"]),
        ("0 30 2 * * * *", "2026-10-25", ["02:30+02:00"]),
        ("30 1-3 * * *", "2026-03-29", ["01:30+01:00", "03:00+02:00", "03:30+02:00"]),
        ("30 1-3 * * *", "2026-10-25", ["01:30+02:00", "02:30+02:00", "03:30+01:00"]),
        ("0,30 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("0 2,3 * * *", "2026-03-29", ["03:00+02:00"]),
        ("*/30 2 * * *", "2026-03-29", []),
        ("*/30 2 * * *", "2026-10-25", ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"]),
    ],
)
def test_changes_of_the_clock_go_by_debians_rule(cron: str, day: str, expected: list[str]) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone)
    end = start + timedelta(days=1)
    found = Timetable(parse(cron), zone).between(int(start.timestamp()) - 1, int(end.timestamp()) - 1)
    assert [datetime.fromtimestamp(each, zone).isoformat(timespec="minutes")[11:] for each in found] == expected


@pytest.mark.parametrize("cron", ["15,45 */2 * * *", "*/10 2 * * *", "20 1,2 * * *", "*/20 0-3 * * SUN"])
@pytest.mark.parametrize(
    ("zone_name", "day"),
    [
        ("Australia/Lord_Howe", "2026-04-04"),
        ("Australia/Lord_Howe", "2026-10-03"),
        ("America/Sao_Paulo", "2010-10-16"),
        ("Africa/Casablanca", "2010-05-01"),
        ("Africa/Casablanca", "2026-02-14"),
        ("Europe/Berlin", "2026-10-24"),
    ],
)
def test_every_minute_around_a_change_is_looked_at(cron: str, zone_name: str, day: str) -> None:
    """No library to ask."""
    zone = ZoneInfo(zone_name)
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    walls = [(utc, datetime.fromtimestamp(utc, zone)) for utc in range(start + 60, start + 2 * 86_400, 60)]
    expression = parse(cron)
    matching = {
        utc
        for utc, wall in walls
        if wall.minute in expression.minutes
        and wall.hour in expression.hours
        and wall.isoweekday() % 7 in expression.weekdays
        and (expression.by_the_clock or not wall.fold)
    }
    found = set(Timetable(expression, zone).between(start, walls[-1][0]))
    gap_ends = {utc for (_, before), (utc, wall) in pairwise(walls) if skipped(before, wall)}
    assert found - gap_ends == matching - gap_ends
    assert expression.by_the_clock is False or found == matching


def skipped(before: datetime, wall: datetime) -> bool:
    return (wall.replace(tzinfo=None) - before.replace(tzinfo=None)) > timedelta(minutes=1)


def test_who_begins_in_the_hour_that_the_clock_shows_twice_does_not_fire_its_times_again() -> None:
    zone = ZoneInfo("Europe/Berlin")
    second_ten_past_two = int(datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1).timestamp())
    found = Timetable(parse("30 2 * * *"), zone).after(second_ten_past_two)
    assert found == int(datetime(2026, 10, 26, 2, 30, tzinfo=zone).timestamp())


def test_a_day_that_a_zone_leaves_out_is_made_up_for_when_it_is_over() -> None:
    """Samoa had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")
    start = int(datetime(2011, 12, 29, tzinfo=zone).timestamp())
    found = Timetable(parse("0 12 * * *"), zone).upcoming(start, 3)
    assert [datetime.fromtimestamp(each, zone).isoformat()[:16] for each in found] == [
        "2011-12-29T12:00",
        "2011-12-31T00:00",
        "2011-12-31T12:00",
    ]
