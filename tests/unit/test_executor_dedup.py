from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.executor.dedup import Window, WindowPolicy, window_start

SMALL = WindowPolicy(span_ms=1_000, at_least_records=3, at_most_records=6)


def test_a_request_id_is_remembered_for_the_span_and_at_least_for_so_many_records() -> None:
    window = Window(SMALL)
    for number in range(4):
        window.add(b"r%d" % number, number, timestamp_ms=number)
    assert b"r0" in window
    window.add(b"late", 4, timestamp_ms=5_000)
    assert b"r0" not in window
    assert b"r2" in window, "the last three stay however old they are"


def test_the_window_never_holds_more_than_its_limit() -> None:
    window = Window(SMALL)
    for number in range(100):
        window.add(b"r%d" % number, number, timestamp_ms=0)
    assert len(window) == 6


def test_forgetting_an_older_entry_keeps_the_newer_one_of_the_same_request() -> None:
    window = Window(SMALL)
    window.add(b"twice", 0, timestamp_ms=0)
    for number in range(1, 5):
        window.add(b"r%d" % number, number, timestamp_ms=0)
    window.add(b"twice", 5, timestamp_ms=0)
    window.add(b"more", 6, timestamp_ms=0)
    assert b"twice" in window


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_reading_back_begins_within_the_log_and_never_above_the_committed_offset(
    low: int, more: int, span: int
) -> None:
    committed = low + more
    start = window_start(SMALL, low=low, committed=committed, offset_at_span=span)
    assert low <= start <= committed
    assert start >= committed - SMALL.at_most_records
    assert start <= max(committed - SMALL.at_least_records, low)
