from __future__ import annotations

from typing import Any

import orjson
import pytest

from processor.core.clock import ManualClock
from processor.core.progress import Progress
from processor.executor import logship
from processor.executor.abstract import RunProgressed
from processor.executor.books import RETRY_AFTER_SEC
from processor.executor.logship import SURELY_LANDED_SEC, Line, LogShip
from processor.transport.abstract import Outcome
from tests.unit.scripted_transport import ScriptedTransport

RUN = "00000000-0000-8000-8000-000000000000"


class Quay:
    def __init__(self) -> None:
        self.transport = ScriptedTransport()
        self.clock = ManualClock()
        self.ship = LogShip(self.transport, self.clock, 1)

    def send(self, *numbers: int, run: str = RUN) -> None:
        self.ship.ship(run, "f", "q/0/1", [line(number) for number in numbers])

    @property
    def waiting_bytes(self) -> int:
        return self.ship._waiting_bytes

    def arrived(self) -> list[Any]:
        self.ship.close(1.0)
        documents = [orjson.loads(each.value or b"") for each in self.transport.records("logs")]
        return [(each[0], each[1], each[4]) for document in documents for each in document["lines"]]


def line(number: int) -> Line:
    return (number, "stdout", None, 1_000, f"line {number}")


def told(number: int) -> tuple[int, str, str]:
    return (number, "stdout", f"line {number}")


def test_lines_arrive_in_order() -> None:
    quay = Quay()
    quay.send(1, 2)
    quay.send(3)
    assert quay.arrived() == [told(1), told(2), told(3)]


def test_lines_that_find_no_room_wait_and_arrive_in_order() -> None:
    quay = Quay()
    quay.transport.buffer_records = 0
    quay.send(1, 2)
    quay.send(3)
    quay.transport.buffer_records = 10
    quay.send(4)
    quay.ship.poll()
    assert quay.arrived() == [told(1), told(2), told(3), told(4)]


def test_of_lines_that_wait_for_too_much_the_oldest_are_replaced_by_a_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    quay = Quay()
    quay.transport.buffer_records = 0
    for number in range(1, 6):
        quay.send(number)
        if number == 2:
            monkeypatch.setattr(logship, "WAITING_BYTES", quay.waiting_bytes)
    quay.transport.buffer_records = 10
    quay.ship.poll()
    assert quay.arrived() == [(1, "platform", "[3 lines were lost here]"), told(4), told(5)]


def test_a_marker_that_is_lost_itself_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    quay = Quay()
    monkeypatch.setattr(logship, "WAITING_BYTES", 0)
    quay.transport.buffer_records = 0
    quay.send(1)
    quay.send(2, 3)
    quay.ship.poll()
    quay.send(4)
    quay.transport.buffer_records = 10
    quay.ship.poll()
    assert quay.arrived() == [(1, "platform", "[4 lines were lost here]")]


def test_a_line_that_no_topic_takes_is_counted_as_lost() -> None:
    quay = Quay()
    quay.transport.max_bytes = 300
    quay.ship.ship(RUN, "f", "q/0/1", [(1, "stdout", None, 0, "x" * 400)])
    quay.send(2)
    assert quay.arrived() == [(1, "platform", "[1 line was lost here]"), told(2)]


def test_what_a_failed_session_had_not_delivered_is_sent_again_by_the_next_one() -> None:
    quay = Quay()
    quay.transport.partitions.pop("logs")
    quay.send(1)  # breaks the session
    quay.transport.partitions["logs"] = 1
    quay.send(2)
    quay.clock.advance(RETRY_AFTER_SEC)
    quay.send(3)
    quay.ship.poll()
    assert quay.arrived() == [told(1), told(2), told(3)]
    assert quay.transport.producers[0].closed


def test_what_was_sent_before_the_failure_came_to_light_is_sent_again_too() -> None:
    quay = Quay()
    quay.send(1)
    quay.send(2)
    quay.transport.producers[0].fail(Outcome.UNKNOWN)
    quay.ship.poll()
    quay.clock.advance(RETRY_AFTER_SEC)
    quay.ship.poll()
    assert quay.arrived() == [told(1), told(2)]


def test_what_has_surely_landed_is_not_sent_again() -> None:
    quay = Quay()
    quay.send(1)
    quay.clock.advance(SURELY_LANDED_SEC + 1)
    quay.ship.poll()
    quay.send(2)
    quay.transport.producers[0].fail(Outcome.UNKNOWN)
    quay.ship.poll()
    quay.clock.advance(RETRY_AFTER_SEC)
    quay.ship.poll()
    assert quay.arrived() == [told(2)]


def test_a_broken_session_is_noticed_by_poll_and_closing_never_raises() -> None:
    quay = Quay()
    quay.send(1)
    quay.transport.flushes.append(Outcome.UNKNOWN)
    quay.ship.close(1.0)
    quay.ship.poll()
    quay.ship.close(1.0)
    assert all(each.closed for each in quay.transport.producers)


def test_progress_keeps_its_place_among_the_lines() -> None:
    quay = Quay()
    quay.send(1)
    quay.ship.show(said(0.1))
    quay.send(2)
    quay.ship.close(1.0)
    values = [each.value for each in quay.transport.records("logs")]
    assert values[1] == Progress(**said(0.1)._asdict()).encode()
    assert len(values) == 3


def test_progress_that_is_lost_leaves_no_gap_among_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logship, "WAITING_BYTES", 0)
    quay = Quay()
    quay.transport.buffer_records = 0
    quay.ship.show(said(0.1))
    quay.send(1)
    quay.ship.show(said(0.2))
    quay.transport.buffer_records = 10
    quay.ship.poll()
    assert quay.arrived() == [(1, "platform", "[1 line was lost here]")]


def said(fraction: float) -> RunProgressed:
    return RunProgressed(RUN, "q/0/1", "f", fraction, "", 1_000)
