from __future__ import annotations

import pytest

from processor.core.control import KEEP_SEC, MAX_GRACE_SEC, SAME_DELIVERY_MS, BadGrace, Cancel, CancelBook
from processor.core.errors import Undecodable
from processor.core.topics import CONTROL, DAY_MS

RUN = b"1b4e28ba-2fa1-8d7c-883f-0016d3cca427"


def cancel(grace_sec: float = 0.0, run: bytes = RUN) -> Cancel:
    return Cancel(request_id=run.decode(), grace_sec=grace_sec, by="test")


def test_a_request_comes_back_as_it_was_written() -> None:
    wanted = cancel(2.5)
    assert Cancel.decode(wanted.key, wanted.encode()) == wanted


@pytest.mark.parametrize(
    "value",
    [b"", b"[]", b"null", b"{}", b'{"type":"cancel"}', b'{"type":"cancel","grace_sec":-1}', b'{"type":"pause"}'],
)
def test_what_is_no_request_is_said_to_be_none(value: bytes) -> None:
    with pytest.raises(Undecodable):
        Cancel.decode(RUN, value)


@pytest.mark.parametrize("grace_sec", [-0.1, MAX_GRACE_SEC + 1, float("nan"), float("inf")])
def test_a_grace_is_a_number_of_seconds_within_limits(grace_sec: float) -> None:
    with pytest.raises(BadGrace):
        cancel(grace_sec)


def test_a_run_that_nobody_has_seen_yet_is_cancelled_when_it_comes() -> None:
    book = CancelBook()
    assert not book
    book.add(cancel(), log_ms=10_000, now_sec=0)
    assert book.of(RUN, 9_000) == cancel()
    assert book.of(b"another", 9_000) is None


def test_a_delivery_that_was_accepted_long_after_the_request_is_another_one() -> None:
    book = CancelBook()
    book.add(cancel(), log_ms=10_000, now_sec=0)
    assert book.of(RUN, 10_000 + SAME_DELIVERY_MS) == cancel(), "clocks of two brokers may differ"
    assert book.of(RUN, 10_001 + SAME_DELIVERY_MS) is None


def test_the_last_request_for_a_run_holds() -> None:
    book = CancelBook()
    book.add(cancel(60.0), log_ms=1, now_sec=0)
    book.add(cancel(), log_ms=2, now_sec=1)
    assert book.of(RUN, 0) == cancel()
    book.withdraw(RUN)
    assert book.of(RUN, 0) is None


def test_a_request_is_kept_as_long_as_its_topic_keeps_it() -> None:
    assert CONTROL.retention_ms == KEEP_SEC * 1000
    assert CONTROL.retention_ms is not None
    assert CONTROL.retention_ms >= DAY_MS
    book = CancelBook()
    book.add(cancel(), log_ms=1, now_sec=0)
    book.add(cancel(run=b"later"), log_ms=1, now_sec=10)
    book.forget(KEEP_SEC - 1)
    assert book.of(RUN, 0)
    book.forget(KEEP_SEC)
    assert book.of(RUN, 0) is None
    assert book.of(b"later", 0)


def test_a_request_that_is_repeated_is_kept_from_then_on() -> None:
    book = CancelBook()
    book.add(cancel(), log_ms=1, now_sec=0)
    book.add(cancel(run=b"other"), log_ms=1, now_sec=5)
    book.add(cancel(), log_ms=2, now_sec=10)
    book.forget(KEEP_SEC + 5)
    assert book.of(RUN, 0)
    assert book.of(b"other", 0) is None
