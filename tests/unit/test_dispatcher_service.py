from __future__ import annotations

import logging

import orjson
import pytest

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import ManualClock
from processor.core.codec import STRUCTURED_CONTENT_TYPE, encode_structured
from processor.core.event import FUNCTION_ATTRIBUTE, Event
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.ledger import Accepted, Ended, LedgerRecord, decode
from processor.core.rejected import KEPT_BYTES
from processor.core.topics import FUNCTIONS, INTAKE, REJECTED, RUNS
from processor.dispatcher.service import DispatcherService
from processor.registry.registry import Registry
from processor.transport.abstract import Outcome, Record, TopicPartition
from tests.unit.scripted_transport import ScriptedConsumer, ScriptedTransport

QUEUE = "queue.f.1"
ZERO = TopicPartition(INTAKE.name, 0)
VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


class Desk:
    """A dispatcher that owns intake partition 0 and is stopped at its fifth poll."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport(**{QUEUE: 1})
        self.clock = ManualClock()
        function = Function(name="f", current=VERSION, queue_partitions=1)
        self.transport.put(FUNCTIONS.name, 0, b"f", encode_function(function))
        self.registry = Registry(self.transport, self.clock)
        self.registry.start()
        self.service = DispatcherService(transport=self.transport, registry=self.registry, clock=self.clock)
        self.transport.on_consumer = lambda consumer: consumer.will("assign", ZERO)
        self.transport.on_poll = self._count
        self.polls = 0

    def _count(self) -> None:
        self.polls += 1
        self.clock.advance(1.0)
        if self.polls == 5:
            self.service.stop()

    def serve(self) -> None:
        self.service.serve()

    def submit(self, number: int, function: str = "f", size: int = 0) -> None:
        event = Event(
            id=str(number),
            source="s",
            type="t",
            data=orjson.dumps("x" * size),
            extensions={FUNCTION_ATTRIBUTE: function} if function else {},
        )
        header = ("content-type", STRUCTURED_CONTENT_TYPE.encode())
        self.transport.put(INTAKE.name, 0, b"k", encode_structured(event), (header,))

    def submit_binary(self, size: int) -> None:
        headers = {"specversion": "1.0", "id": "b", "source": "s", "type": "t", FUNCTION_ATTRIBUTE: "f"}
        named = [(f"ce_{name}", value.encode()) for name, value in headers.items()]
        kind = ("content-type", b"application/octet-stream")
        self.transport.put(INTAKE.name, 0, b"k", b"\xff" * size, (*named, kind))

    def queued(self) -> list[Stamp]:
        return [stamp(each) for each in self.transport.records(QUEUE)]

    def rejected(self) -> list[str]:
        return [dict(each.headers)["reason"].decode() for each in self.transport.records(REJECTED.name)]

    def ledger(self) -> list[LedgerRecord]:
        return [decode(each.value) for each in self.transport.records(RUNS.name)]


def stamp(record: Record) -> Stamp:
    return Stamp.decode(dict(record.headers)[STAMP_HEADER])


def test_events_reach_their_queue_in_order_each_naming_the_one_before() -> None:
    desk = Desk()
    for number in range(3):
        desk.submit(number)
    desk.serve()
    assert [(each.intake.offset, each.previous) for each in desk.queued()] == [(0, None), (1, (0, 0)), (2, (0, 1))]
    assert desk.transport.offsets[ZERO].offset == 3


def test_after_a_failed_session_the_batch_is_repeated_and_the_offset_never_passes_it() -> None:
    desk = Desk()
    desk.submit(0)
    desk.submit(1)
    desk.transport.flushes.append(Outcome.UNKNOWN)
    desk.serve()
    assert [(each.intake.offset, each.previous) for each in desk.queued()] == [(0, None), (1, (0, 0))]
    assert desk.transport.offsets[ZERO].offset == 2
    assert desk.transport.producers[0].closed


def test_an_event_that_outgrows_its_queue_on_the_way_is_rejected_with_a_verdict_and_the_next_one_goes_on() -> None:
    desk = Desk()
    desk.transport.max_bytes = 5_000
    desk.submit_binary(4_000)  # in base64 it is a third larger
    desk.submit(1)
    desk.serve()
    assert len(desk.rejected()) == 1
    assert [type(each) for each in desk.ledger()][-1] is Accepted
    assert [each.error.type for each in desk.ledger() if isinstance(each, Ended) and each.error] == ["EventNotQueued"]
    assert [each.intake.offset for each in desk.queued()] == [1]
    assert desk.transport.offsets[ZERO].offset == 2


def test_a_rejected_record_that_is_too_large_for_the_reason_beside_it_is_kept_in_part() -> None:
    desk = Desk()
    desk.transport.max_bytes = KEPT_BYTES * 2
    desk.transport.put(INTAKE.name, 0, b"k", b"{" * (KEPT_BYTES * 2))
    desk.submit(1)
    desk.serve()
    (kept,) = desk.transport.records(REJECTED.name)
    assert (len(kept.value or b""), dict(kept.headers)["truncated"]) == (KEPT_BYTES, b"true")
    assert [each.intake.offset for each in desk.queued()] == [1]


@pytest.mark.parametrize("name", ["x" * 100_000, "no such/name", ""])
def test_what_cannot_name_a_function_is_rejected_without_a_run(name: str) -> None:
    desk = Desk()
    desk.transport.max_bytes = 150_000
    desk.submit(0, function=name)
    desk.submit(1)
    desk.serve()
    assert len(desk.rejected()) == 1
    assert [type(each) for each in desk.ledger()] == [Accepted]
    assert [each.intake.offset for each in desk.queued()] == [1]


def test_an_unknown_function_is_looked_up_before_it_is_rejected() -> None:
    desk = Desk()
    function = Function(name="new", current=VERSION, queue_partitions=1)
    desk.transport.partitions[function.queue_topic] = 1
    desk.transport.put(FUNCTIONS.name, 0, b"new", encode_function(function))
    desk.submit(0, function="new")
    desk.submit(1, function="nobody")
    desk.serve()
    assert len(desk.transport.records(function.queue_topic)) == 1
    assert desk.rejected() == ["no function is named 'nobody': deploy it, then send the event again"]


def test_nothing_is_committed_of_a_partition_that_is_somebody_elses() -> None:
    desk = Desk()
    desk.submit(0)

    def lose_at_once(consumer: ScriptedConsumer) -> None:
        consumer.will("assign", ZERO)
        consumer.will("lose", ZERO)

    desk.transport.on_consumer = lose_at_once
    desk.serve()
    assert desk.transport.consumers[-1].asked == []


def test_handing_a_partition_over_waits_for_no_commit_and_its_next_owner_repeats_what_was_not_committed() -> None:
    desk = Desk()
    desk.submit(0)

    def hand_over() -> None:
        desk.polls += 1
        if desk.polls == 2:
            desk.submit(1)
        if desk.polls == 3:
            desk.transport.consumers[-1].will("revoke", ZERO)
            desk.transport.consumers[-1].will("assign", ZERO)
        if desk.polls == 5:
            desk.service.stop()

    desk.transport.on_poll = hand_over
    desk.serve()
    assert [(each.intake.offset, each.previous) for each in desk.queued()] == [(0, None), (1, (0, 0)), (1, None)]


def test_a_dispatcher_that_meets_a_defect_says_so_and_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    desk.submit(0)
    desk.service.back_off_sec = 0.0
    desk.transport.failures["consumer"] = KeyError("a defect")
    desk.transport.on_failure = desk.transport.failures.clear
    with caplog.at_level(logging.ERROR):
        desk.service.start()
        assert desk.service.join(10)
    assert "a defect" in caplog.text
    assert [each.intake.offset for each in desk.queued()] == [0]
