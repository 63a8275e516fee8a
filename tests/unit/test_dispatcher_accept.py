from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from processor.core.clock import ManualClock
from processor.core.codec import Unencodable, decode_kafka
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.request_id import partition_of, request_id
from processor.core.topics import INTAKE, MAX_EVENT_BYTES
from processor.dispatcher.accept import (
    Acceptor,
    EventTooLarge,
    FunctionDisabled,
    NotAccepted,
    RateExceeded,
    Receipt,
    UnknownFunction,
)
from processor.transport.abstract import Appended, Appender, Headers, Outcome

VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


class Intake(Appender):
    def __init__(self) -> None:
        self.records: list[tuple[int | None, bytes | None, bytes | None, Headers]] = []
        self.says = Appended(outcome=Outcome.YES, partition=2, offset=17)

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        assert topic == INTAKE.name
        self.records.append((partition, key, value, headers))
        return self.says

    async def stop(self) -> None: ...


class Door:
    def __init__(self, *, gateways: int = 1) -> None:
        self.functions = {
            "f": Function(name="f", current=VERSION, rate_per_sec=2),
            "off": Function(name="off", current=VERSION, enabled=False),
        }
        self.intake = Intake()
        self.clock = ManualClock()
        self.acceptor = Acceptor(
            functions=self.functions.get, appender=self.intake, clock=self.clock, live_gateways=lambda: gateways
        )

    def accept(self, function: str = "f", event: Event | None = None) -> Receipt:
        return done(self.acceptor.accept(function, event or an_event(), trigger="http", event_format="data"))


def done(accepting: Coroutine[Any, Any, Receipt]) -> Receipt:
    return asyncio.run(accepting)


def an_event(data: bytes | None = b"{}", **more: Any) -> Event:
    return Event(**{"id": "1", "source": "s", "type": "t", "data": data, **more})


def test_an_accepted_event_stands_on_intake_under_its_request_id() -> None:
    door = Door()
    receipt = door.accept()
    run = request_id("f", "s", "1")
    assert receipt == Receipt(request_id=run, function="f", partition=2, offset=17)
    ((partition, key, value, headers),) = door.intake.records
    assert (partition, key) == (partition_of(run, INTAKE.partitions), run.encode())
    event = decode_kafka(headers, value)
    assert isinstance(event, Event)
    assert (event.function, event.data) == ("f", b"{}")
    assert event.extensions["headracetrigger"] == "http"


def test_the_same_event_gets_the_same_request_id_from_any_acceptor() -> None:
    assert Door().accept().request_id == Door().accept().request_id


@pytest.mark.parametrize(
    ("function", "event", "error"),
    [
        ("nobody", an_event(), UnknownFunction),
        ("off", an_event(), FunctionDisabled),
        ("f", an_event(b"x" * (MAX_EVENT_BYTES + 1)), EventTooLarge),
        ("f", an_event(subject="x" * 2_000_000), EventTooLarge),
        ("f", an_event(id=""), Unencodable),
    ],
)
def test_a_refused_event_leaves_nothing_on_the_log(function: str, event: Event, error: type[Exception]) -> None:
    door = Door()
    with pytest.raises(error):
        door.accept(function, event)
    assert door.intake.records == []


def test_the_largest_event_is_accepted_as_text_and_as_bytes() -> None:
    for data in (b'"' + b"x" * (MAX_EVENT_BYTES - 2) + b'"', b"\xff" * MAX_EVENT_BYTES):
        door = Door()
        door.accept(event=an_event(data))
        assert len(door.intake.records) == 1


def test_a_caller_over_the_rate_is_told_when_to_come_back_and_nothing_is_written() -> None:
    door = Door()
    door.accept()
    door.accept()
    with pytest.raises(RateExceeded) as refused:
        door.accept()
    assert refused.value.retry_after_sec == pytest.approx(0.5)
    assert len(door.intake.records) == 2
    door.clock.advance(0.5)
    door.accept()


def test_gateways_share_the_rate() -> None:
    door = Door(gateways=2)
    door.accept()
    with pytest.raises(RateExceeded):
        door.accept()


@pytest.mark.parametrize("outcome", [Outcome.NO, Outcome.UNKNOWN])
def test_an_append_that_is_not_certain_names_the_run_it_would_be(outcome: Outcome) -> None:
    door = Door()
    door.intake.says = Appended(outcome=outcome, reason="the broker is away")
    with pytest.raises(NotAccepted) as failed:
        door.accept()
    assert (failed.value.request_id, failed.value.outcome) == (request_id("f", "s", "1"), outcome)


def test_a_pull_source_is_not_refused_by_the_rate_but_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        door.clock.advance(seconds)

    monkeypatch.setattr(asyncio, "sleep", wait)

    async def accept_all() -> None:
        for number in range(6):
            event = an_event(id=str(number))
            await door.acceptor.accept_when_admitted("f", event, trigger="kafka", event_format="data")

    asyncio.run(accept_all())
    assert len(door.intake.records) == 6
    assert sum(waited) == pytest.approx(2.0)


def test_a_pull_source_that_waits_hears_that_its_function_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()
    door.accept()
    door.accept()

    async def wait(seconds: float) -> None:
        door.functions.clear()

    monkeypatch.setattr(asyncio, "sleep", wait)
    with pytest.raises(UnknownFunction):
        done(door.acceptor.accept_when_admitted("f", an_event(), trigger="kafka", event_format="data"))
