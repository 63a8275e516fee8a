"""Many events at once: `accept_some`, `submit_some`, and the session behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.dispatcher.accept import Acceptor, EventTooLarge, FunctionDisabled, NotAccepted, UnknownFunction
from processor.dispatcher.bulk import BulkAppender
from processor.transport.abstract import AppendFailed, BufferFull, Headers, Outcome, Producer, TransportUnavailable
from tests.unit.test_dispatcher_accept import Intake as Log
from triggers.abstract import Binding
from triggers.intake import Intake

BINDING = Binding(function="f", creation=1, kind="kafka", settings={"event_format": "scf"})
VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


class Session(Producer):
    def __init__(self, log: Sessions) -> None:
        self.log = log
        self.pending: list[bytes] = []
        self.closed = False

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> None:
        assert not self.closed
        if len(self.pending) == self.log.room:
            raise BufferFull
        self.pending.append(key or b"")

    def flush(self, timeout_sec: float) -> None:
        if self.log.failures:
            raise self.log.failures.pop(0)
        self.log.durable += [each.decode() for each in self.pending]
        self.pending.clear()

    def landed(self, timeout_sec: float) -> bool:
        self.flush(timeout_sec)
        return True

    def poll(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Sessions:
    def __init__(self, *failures: Exception, room: int = 1_000) -> None:
        self.failures = list(failures)
        self.room = room
        self.durable: list[str] = []
        self.made: list[Session] = []

    def make(self) -> Session:
        self.made.append(Session(self))
        return self.made[-1]


def events(count: int, data: bytes = b"{}") -> list[Event]:
    return [Event(id=str(number), source="s", type="t", data=data) for number in range(count)]


def runs(count: int) -> list[str]:
    return [request_id("f", "s", str(number)) for number in range(count)]


def with_intake(
    sessions: Sessions, main: Callable[[Intake, Acceptor], Coroutine[Any, Any, Any]], *, rate_per_sec: float = 1e6
) -> Any:
    async def inside() -> Any:
        functions = {
            "f": Function(name="f", current=VERSION, rate_per_sec=rate_per_sec),
            "off": Function(name="off", current=VERSION, enabled=False),
        }
        bulk = BulkAppender(sessions.make)
        acceptor = Acceptor(functions=functions.get, appender=Log(), clock=SystemClock(), bulk=bulk)
        try:
            return await main(Intake(acceptor, Log()), acceptor)
        finally:
            await bulk.stop()

    return asyncio.run(inside())


async def submit_all(intake: Intake, wanted: Sequence[Event]) -> list[list[Any]]:
    calls: list[list[Any]] = []
    while sum(map(len, calls)) < len(wanted):
        calls.append(list(await intake.submit_some(BINDING, wanted[sum(map(len, calls)) :])))
    return calls


def test_all_events_are_durable_under_their_request_ids_with_one_flush() -> None:
    sessions = Sessions()
    answers = with_intake(sessions, lambda intake, _: submit_all(intake, events(500)))
    assert answers == [runs(500)]
    assert sessions.durable == runs(500)
    assert [each.closed for each in sessions.made] == [True]


def test_a_full_buffer_is_flushed_and_filled_again() -> None:
    sessions = Sessions(room=7)
    with_intake(sessions, lambda intake, _: submit_all(intake, events(20)))
    assert sessions.durable == runs(20)


def test_an_event_that_can_never_be_one_is_told_apart_from_its_neighbours() -> None:
    sessions = Sessions()
    wanted = [*events(1), *events(1, b"x" * (MAX_EVENT_BYTES + 1)), Event(id="\n", source="s", type="t"), events(2)[1]]
    ((first, large, control, last),) = with_intake(sessions, lambda intake, _: submit_all(intake, wanted))
    assert [first, last] == runs(2) == sessions.durable
    assert isinstance(large, EventTooLarge)
    assert "control characters" in str(control)


@pytest.mark.parametrize(
    "failure",
    [AppendFailed(Outcome.UNKNOWN, "no answer"), AppendFailed(Outcome.NO, "no"), TransportUnavailable("gone")],
)
def test_what_fails_is_tried_again_on_a_new_session(failure: Exception) -> None:
    sessions, heard = Sessions(failure), list[HeadraceError]()
    with_intake(sessions, lambda intake, _: intake.submit_some(BINDING, events(3), on_trouble=heard.append))
    assert sessions.durable == runs(3)
    assert len(sessions.made) == 2
    assert [type(each) for each in heard] == [NotAccepted]


def test_the_rate_decides_how_many_are_taken_at_a_time() -> None:
    sessions = Sessions()
    calls = with_intake(sessions, lambda intake, _: submit_all(intake, events(60)), rate_per_sec=50)
    assert len(calls[0]) >= 50  # the burst
    assert sum(map(len, calls)) == 60
    assert len(calls) <= 11


@pytest.mark.parametrize(("function", "error"), [("nobody", UnknownFunction), ("off", FunctionDisabled)])
def test_a_function_that_takes_nothing_is_said_at_once(function: str, error: type[HeadraceError]) -> None:
    binding = Binding(function=function, creation=1, kind="kafka", settings={})
    with pytest.raises(error):
        with_intake(Sessions(), lambda intake, _: intake.submit_some(binding, events(1)))


def test_a_cancelled_call_leaves_its_thread_to_the_next_one() -> None:
    async def main(intake: Intake, acceptor: Acceptor) -> None:
        first = asyncio.create_task(intake.submit_some(BINDING, events(100)))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        await intake.submit_some(BINDING, events(2))

    sessions = Sessions()
    with_intake(sessions, main)
    assert sessions.durable[-2:] == runs(2)
    assert len(sessions.made) == 1
