"""Lines that nobody could write a marker for any more are counted by who reads."""

from __future__ import annotations

from processor.core.loglines import lost_text
from processor.core.topics import DAY_MS
from processor.recorder.gaps import LATE_LINES_MS, shown, told_in_vain
from processor.recorder.queries import LogLine

NOW_MS = 1_800_000_000_000


def line(seq: int, text: str = "x", stream: str = "stdout") -> LogLine:
    return LogLine(seq, stream, None, NOW_MS, text)


def told(lines: list[LogLine]) -> list[tuple[int, str]]:
    return [(each.seq, each.text) for each in lines]


def test_lines_without_a_gap_are_shown_as_they_are() -> None:
    lines = [line(3), line(4), line(5)]
    assert shown(lines, 2) == lines


def test_a_gap_has_a_marker_with_its_count_at_its_last_number_so_that_who_resumes_there_is_told_once() -> None:
    assert told(shown([line(1), line(5)], 0)) == [(1, "x"), (4, lost_text(3)), (5, "x")]
    assert told(shown([line(5)], 4)) == [(5, "x")]
    assert told(shown([line(3)], 0)) == [(2, lost_text(2)), (3, "x")]


def test_the_marker_of_an_executor_is_numbered_like_those_and_counted_once() -> None:
    stored = [line(1), line(2, lost_text(3), "platform"), line(5)]
    assert told(shown(stored, 0)) == [(1, "x"), (4, lost_text(3)), (5, "x")]


def test_what_a_function_prints_in_the_words_of_a_marker_stands_for_nothing() -> None:
    assert told(shown([line(1, lost_text(3)), line(2)], 0)) == [(1, lost_text(3)), (2, "x")]


def test_what_the_verdict_counts_and_nobody_has_is_told_behind_the_last_line_until_it_may_have_been_deleted() -> None:
    ended_ms = NOW_MS - LATE_LINES_MS
    lost = told_in_vain(7, 10, ended_ms, NOW_MS)
    assert lost is not None
    assert told([lost]) == [(10, lost_text(3))]
    assert told_in_vain(10, 10, ended_ms, NOW_MS) is None
    assert told_in_vain(7, 10, NOW_MS - 4 * DAY_MS, NOW_MS) is None
