"""What an expression means. Changes of the clock: test_schedule_oracle."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from processor.core.cron import BadCron, Timetable, parse


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def table(cron: str, zone: str = "UTC") -> Timetable:
    return Timetable(parse(cron), ZoneInfo(zone))


def times(cron: str, after: str, count: int, zone: str = "UTC") -> list[str]:
    """In UTC."""
    found = table(cron, zone).upcoming(at(after), count)
    return [datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M:%S") for each in found]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        # reference of the platform: Tencent SCF, timer trigger
        ("*/5 * * * * * *", "2026-11-24 10:00:05"),
        ("0 15 10 1 * * *", "2026-12-01 10:15:00"),
        ("0 15 10 * * MON-FRI *", "2026-11-24 10:15:00"),
        ("0 */30 9-17 * * * *", "2026-11-24 10:30:00"),
        ("0 0 12 * * WED *", "2026-11-25 12:00:00"),
        ("0 0 12 ? * WED 2028", "2028-01-05 12:00:00"),
        # 6 fields: seconds first
        ("30 1 2 * * *", "2026-11-25 02:01:30"),
        ("1/20 * * * * *", "2026-11-24 10:00:01"),
        # 5 fields
        ("0 2 * * *", "2026-11-25 02:00:00"),
        ("0 9 * * 0", "2026-11-29 09:00:00"),
        ("0 9 * * 7", "2026-11-29 09:00:00"),
        ("0 9 * * 1", "2026-11-30 09:00:00"),
        ("0 9 * * sun", "2026-11-29 09:00:00"),
        ("0 9 * jan-mar *", "2027-01-01 09:00:00"),
        ("0 9 L * ?", "2026-11-30 09:00:00"),
        ("0 9 15,L * *", "2026-11-30 09:00:00"),
        ("0 9 * * FRI#2", "2026-12-11 09:00:00"),
        ("0 9 * * FRIL", "2026-11-27 09:00:00"),
        ("0 9 29 2 *", "2028-02-29 09:00:00"),
        ("@hourly", "2026-11-24 11:00:00"),
        ("@Daily", "2026-11-25 00:00:00"),
        ("@weekly", "2026-11-29 00:00:00"),
        ("@monthly", "2026-12-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
    ],
)
def test_each_notation_fires_at_its_time(cron: str, expected: str) -> None:
    assert times(cron, "2026-11-24 10:00:00", 1) == [expected]


def test_day_and_weekday_are_one_or_the_other_unless_one_of_them_begins_with_a_star() -> None:
    either = times("0 0 13 * FRI", "2026-11-01", 3)
    assert either == ["2026-11-06 00:00:00", "2026-11-13 00:00:00", "2026-11-20 00:00:00"]
    both = times("0 0 */2 * FRI", "2026-11-01", 3)
    assert both == ["2026-11-13 00:00:00", "2026-11-27 00:00:00", "2026-12-11 00:00:00"]


def test_a_range_of_weekdays_may_end_with_sunday() -> None:
    days = [each[8:10] for each in times("0 0 * * FRI-SUN", "2026-11-23", 4)]
    assert days == ["27", "28", "29", "04"]


def test_the_time_zone_is_that_of_the_schedule() -> None:
    assert times("0 2 * * *", "2026-06-01 00:30:00", 1, "Europe/Paris") == ["2026-06-02 00:00:00"]


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * * * *", "has 8 fields"),
        ("60 * * * *", "has the minute '60'; use 0-59"),
        ("* 24 * * *", "has the hour '24'; use 0-23"),
        ("* * 0 * *", "has the day '0'; use 1-31"),
        ("* * * 13 *", "has the month '13'; use 1-12 or JAN-DEC"),
        ("* * * * 8", "has the weekday '8'; use 0-7 or SUN-SAT"),
        ("* * * * MONDAY", "has the weekday 'MONDAY'; use 0-7 or SUN-SAT"),
        ("* * * * MON/2/3", "has the weekday 'MON/2/3'"),
        ("*/0 * * * *", "use a step of at least 1"),
        ("10-5 * * * *", "ends before it begins; split it into two ranges"),
        ("1,,2 * * * *", "has the minute ''"),
        ("-1 * * * *", "has the minute '-1'"),
        ("? * * * *", "has a ? in its minute '?'; write ? alone, in day or weekday"),
        ("* * 1-? * *", "has a ? in its day '1-?'"),
        ("0 0 15W * *", "has a W in its day '15W'; W (the nearest workday) is not offered"),
        ("0 0 LW * *", "has a W in its day"),
        ("0 0 * * FRI#6", "has the weekday 'FRI#6'; write FRI#2 for the second and FRIL for the last"),
        ("0 0 */2 * FRI#2", "write * for the day, or the days in full"),
        ("0 0 0 1 1 * 1969", "has the year '1969'; use 1970-2099"),
        ("@reboot", "is not a macro; use one of @yearly"),
        ("@every 5m", "is not a macro"),
        ("٣ * * * *", "has the minute '٣'"),
        ("\0 * * * *", "has the minute"),
        ("* " * 600, "is too long"),
    ],
)
def test_what_is_no_expression_says_what_to_write_instead(cron: str, message: str) -> None:
    with pytest.raises(BadCron) as raised:
        parse(cron)
    assert message in f"{raised.value.message}; {raised.value.remedy}"


@pytest.mark.parametrize("cron", ["* * 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 0 29 2 ? 2023"])
def test_a_day_that_no_month_has_never_fires(cron: str) -> None:
    assert not table(cron).fires
    assert table(cron).after(at("2026-01-01")) is None


@pytest.mark.parametrize("cron", ["0 0 31 2 MON", "0 0 29 2 *", "0 0 29 2 */7", "0 0 0 29 2 ? 2024"])
def test_a_day_that_some_month_has_fires(cron: str) -> None:
    assert table(cron).fires


def test_after_its_last_year_there_is_nothing() -> None:
    assert times("0 0 0 1 1 ? 2027", "2026-01-01", 5) == ["2027-01-01 00:00:00"]
    assert table("* * * * * *").after(at("2100-01-01")) is None


def test_the_newest_times_are_the_last_ones_of_all() -> None:
    for cron in ("* * * * * *", "*/7 * * * *", "0 3 * * MON"):
        every = list(table(cron).between(at("2026-10-01"), at("2026-10-01 06:00:00")))
        found = table(cron).newest(at("2026-10-01"), at("2026-10-01 06:00:00"), 50)
        assert found[-50:] == every[-50:]
        assert len(found) <= max(500, len(every))
