"""Calls that may wait for a broker for ever, played by ones that wait for the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from processor.transport.kafka.bounded import BoundedCalls, NoAnswer, NotBegun

LIMIT_SEC = 10.0
SOON_SEC = 0.01


class Broker:
    """Answers when the test lets it."""

    def __init__(self) -> None:
        self.back = threading.Event()
        self.asked: list[str] = []

    def answer(self, question: str) -> str:
        self.asked.append(question)
        assert self.back.wait(LIMIT_SEC)
        return f"answer to {question}"


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.back.set()  # lets the thread end


@pytest.fixture
def calls() -> BoundedCalls:
    return BoundedCalls("test")


def stop(calls: BoundedCalls) -> threading.Event:
    stopped = threading.Event()
    calls.stop(then=stopped.set)
    return stopped


def test_an_answer_in_time_is_returned_and_what_was_raised_is_raised(calls: BoundedCalls) -> None:
    assert calls.call(lambda: 7, LIMIT_SEC) == 7
    with pytest.raises(KeyError):
        calls.call(lambda: raising(KeyError()), LIMIT_SEC)
    with pytest.raises(TimeoutError, match="of the work itself"):
        calls.call(lambda: raising(TimeoutError("of the work itself")), LIMIT_SEC)
    assert stop(calls).is_set()


def raising(error: Exception) -> None:
    raise error


def test_while_a_call_hangs_the_next_is_not_begun(calls: BoundedCalls, broker: Broker) -> None:
    with pytest.raises(NoAnswer):
        calls.call(lambda: broker.answer("one"), SOON_SEC)
    assert calls.stuck()
    with pytest.raises(NotBegun):
        calls.call(lambda: broker.answer("two"), SOON_SEC)
    broker.back.set()
    assert calls.call(lambda: broker.answer("three"), LIMIT_SEC) == "answer to three", "the late answer is nobody's"
    assert broker.asked == ["one", "three"]
    assert not calls.stuck()
    assert stop(calls).is_set()


def test_a_stop_amid_a_call_closes_the_client_once_that_has_ended(calls: BoundedCalls, broker: Broker) -> None:
    with pytest.raises(NoAnswer):
        calls.call(lambda: broker.answer("one"), SOON_SEC)
    stopped = stop(calls)
    assert not stopped.is_set()
    broker.back.set()
    assert stopped.wait(LIMIT_SEC)


def test_without_any_call_a_stop_closes_at_once(calls: BoundedCalls) -> None:
    assert stop(calls).is_set()
