from __future__ import annotations

import os
import threading
from decimal import Decimal
from fractions import Fraction
from typing import Any

import orjson
import pytest

from processor.core.errors import Undecodable
from processor.core.progress import Progress as Record
from processor.core.progress import decode_progress, is_progress
from processor.executor import frames
from processor.executor.runtime import progress
from processor.executor.runtime.frames import BadFrame
from processor.executor.runtime.progress import EVERY_SEC, MAX_MESSAGE_CHARS, Progress


class Wire:
    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.arrived = threading.Event()
        self.now_sec = 100.0
        self.takes = True
        self.progress = Progress(self._send, lambda: self.now_sec)

    def _send(self, body: bytes) -> bool:
        if self.takes:
            self.sent.append(orjson.loads(body))
            self.arrived.set()
        return self.takes


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(progress, "EVERY_SEC", 3_600.0)  # what waits, waits for the test
    return Wire()


def test_the_first_is_sent_at_once_and_of_the_others_the_last_one_at_the_end(wire: Wire) -> None:
    for step in range(1_000):
        wire.progress.tell(step / 1_000, f"step {step}")
    assert wire.sent == [[0.0, "step 0"]]
    wire.progress.finish()
    assert wire.sent == [[0.0, "step 0"], [0.999, "step 999"]]


def test_after_its_time_the_next_is_sent_at_once(wire: Wire) -> None:
    wire.progress.tell(0.1)
    wire.now_sec += 3_601
    wire.progress.tell(0.2)
    assert wire.sent == [[0.1, ""], [0.2, ""]]


def test_what_waits_is_sent_while_the_handler_says_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_SEC", 0.01)
    wire = Wire()
    wire.progress.tell(0.1)
    wire.arrived.clear()
    wire.progress.tell(0.2)
    assert wire.arrived.wait(30)
    assert wire.sent == [[0.1, ""], [0.2, ""]]
    wire.progress.finish()
    assert len(wire.sent) == 2


def test_a_thread_that_outlives_the_run_tells_nothing(wire: Wire) -> None:
    wire.progress.finish()
    wire.progress.tell(0.5)
    wire.progress.finish()
    assert wire.sent == []


def test_what_could_not_be_sent_is_sent_at_the_end(wire: Wire) -> None:
    wire.takes = False
    wire.progress.tell(0.5)
    wire.takes = True
    wire.progress.finish()
    assert wire.sent == [[0.5, ""]]


def test_a_forked_process_tells_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    wire.progress.tell(0.5)
    wire.progress.finish()
    assert wire.sent == []


def test_an_executor_that_has_gone_does_not_end_the_handler() -> None:
    def gone(body: bytes) -> bool:
        raise BrokenPipeError

    told = Progress(gone)
    told.tell(0.5)
    told.finish()


def test_two_a_second_is_what_people_get() -> None:
    assert EVERY_SEC == 0.5


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (0, 0.0),
        (1, 1.0),
        (True, 1.0),
        (40, 1.0),
        (-0.1, 0.0),
        (float("nan"), 0.0),
        (float("inf"), 1.0),
        (10**400, 1.0),
        (Fraction(1, 4), 0.25),
        (Decimal("0.5"), 0.5),
    ],
)
def test_any_number_is_a_fraction_from_0_to_1(wire: Wire, given: Any, shown: float) -> None:
    wire.progress.tell(given)
    assert wire.sent == [[shown, ""]]


@pytest.mark.parametrize("given", ["0.4", b"1", None, [], 1j, object()])
def test_what_is_no_number_is_a_clear_error_to_the_caller(wire: Wire, given: Any) -> None:
    with pytest.raises(TypeError, match=r"^progress: the fraction is a number from 0 to 1, not \w+$"):
        wire.progress.tell(given)
    assert wire.sent == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, ""),
        (12, "12"),
        ("two\nlines\tand\x0btabs", "two lines and tabs"),
        ("\ud800", "\\ud800"),
        ("x" * 10_000_000, "x" * (MAX_MESSAGE_CHARS - 1) + "…"),
        ("\ud800" * 1_000, ("\\ud800" * 1_000)[: MAX_MESSAGE_CHARS - 1] + "…"),
        ("x" * MAX_MESSAGE_CHARS, "x" * MAX_MESSAGE_CHARS),
    ],
)
def test_a_message_is_one_line_of_a_bearable_length(wire: Wire, given: Any, shown: str) -> None:
    wire.progress.tell(0.5, given)
    assert wire.sent == [[0.5, shown]]
    assert frames.read_progress(orjson.dumps(wire.sent[0])) == (0.5, shown)


_STRAY = ["[]", '[2,""]', '[-1,""]', '[NaN,""]', "[0.5,null]", '["x",""]', f'[0.5,"{"x" * 501}"]', ""]


@pytest.mark.parametrize("body", [each.encode() for each in _STRAY])
def test_stray_bytes_are_no_progress(body: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.read_progress(body)


def record(**changes: Any) -> Record:
    values = {"request_id": "r", "function": "f", "delivery": "q/0/1", "fraction": 0.5, "message": "é\x00", "at_ms": 1}
    return Record(**{**values, **changes})


def test_a_record_comes_back_as_it_was_and_is_told_from_lines_by_its_beginning() -> None:
    assert decode_progress(record().encode()) == record()
    assert is_progress(record().encode())
    assert not is_progress(b'{"request_id":"r","function":"f","delivery":"q/0/1","lines":[]}')
    assert not is_progress(None)


@pytest.mark.parametrize(
    "value",
    [
        b'{"progress":',
        b'{"progress":[0.5,"",1]}',
        b'{"progress":[0.5,""],"request_id":"r","function":"f","delivery":"q/0/1"}',
        record(fraction=1.5).encode(),
        record(at_ms=-1).encode(),
        record(at_ms=10**17).encode(),
    ],
)
def test_what_is_no_record_is_undecodable(value: bytes) -> None:
    with pytest.raises(Undecodable):
        decode_progress(value)
