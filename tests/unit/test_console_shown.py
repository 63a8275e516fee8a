from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from processor.console import shown
from processor.recorder.store import timestamp

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def at(seconds_ago: float) -> str:
    text = timestamp(round((NOW - timedelta(seconds=seconds_ago)).timestamp() * 1000))
    assert text is not None
    return text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0123, "12 ms"),
        (3.44, "3.4 s"),
        (59.4, "59 s"),
        (125, "2 min 5 s"),
        (3_600, "1 h"),
        (12_000, "3 h 20 min"),
        (90_000, "1 d 1 h"),
        (-2, "-2.0 s"),
    ],
)
def test_a_duration_is_written_with_two_units_at_most(seconds: float | None, text: str) -> None:
    assert shown.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds_ago", "text"),
    [(2, "just now"), (30, "30 s ago"), (90, "1 min ago"), (7_300, "2 h ago"), (200_000, "2 d ago"), (-30, "in 30 s")],
)
def test_a_moment_is_told_from_now(seconds_ago: float, text: str) -> None:
    assert shown.ago(at(seconds_ago), NOW) == text
    assert shown.ago(None, NOW) == "never"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KB"), (52_428_800, "50 MB")])
def test_a_size_is_written_in_the_unit_that_fits(count: int, text: str) -> None:
    assert shown.size(count) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x7f", "a␀b␡"),
        ("exe.\u202egpj", "exe.⟨U+202E⟩gpj"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("line\nand\ttab", "line\nand\ttab"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_a_sign(text: str, seen: str) -> None:
    assert shown.visible(text) == seen


def test_a_time_cannot_break_out_of_its_attribute() -> None:
    assert "2026-11-24 11:59:30 UTC" in shown.time_tag(at(30), NOW)
    assert shown.time_tag(None, NOW) == '<span class="muted">–</span>'
