from __future__ import annotations

from processor.core.claims import STAMP_HEADER, Order, Stamp
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.ledger import Accepted, Position, decode
from processor.core.rejected import rejection_of
from processor.core.request_id import partition_of, request_id
from processor.dispatcher.routing import Rejected, Routed
from processor.dispatcher.session import DispatchSession
from processor.transport.abstract import Record
from tests.unit.scripted_transport import ScriptedTransport

VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


class Sender:
    def __init__(self) -> None:
        self.transport = ScriptedTransport(**{"queue.f.1": 1, "queue.g.1": 1})
        self.producer = self.transport.producer()
        self.session = DispatchSession(self.producer, "id", 1)

    def send(self, intake_partition: int, offset: int, function: str = "f", *, structured: bool = True) -> None:
        record = Record("intake", intake_partition, offset, 3, 1_000, b"k", b"as it came", ())
        head = Function(name=function, current=VERSION, queue_partitions=1)
        event = Event(id=str(offset), source="s", type="t", data=b"1")
        accepted = Accepted(
            request_id=request_id(function, "s", str(offset)),
            function=function,
            version="v",
            trigger="t",
            source="s",
            event_id=event.id,
            subject=None,
            accepted_at_ms=1_000,
            intake=Position(intake_partition, 3, offset),
        )
        routed = Routed(function=head, accepted=accepted, event=event, event_format="data", structured=structured)
        self.session.send(record, routed)

    def previous(self, topic: str = "queue.f.1") -> list[Order | None]:
        self.session.flush(1.0)
        return [Stamp.decode(dict(each.headers)[STAMP_HEADER]).previous for each in self.transport.records(topic)]


def test_each_event_names_what_this_session_sent_to_the_same_queue_from_the_same_intake_partition() -> None:
    sender = Sender()
    sender.send(0, 5)
    sender.send(1, 9)
    sender.send(0, 6, "g")
    sender.send(0, 7)
    sender.send(1, 12)
    assert sender.previous() == [None, None, (3, 5), (3, 9)]
    assert sender.previous("queue.g.1") == [None]


def test_after_a_new_assignment_a_partition_starts_over_and_the_others_go_on() -> None:
    sender = Sender()
    sender.send(0, 5)
    sender.send(1, 9)
    sender.session.forget([0])
    sender.send(0, 6)
    sender.send(1, 10)
    assert sender.previous() == [None, None, None, (3, 9)]


def test_accepted_is_written_beside_the_event_under_the_same_key() -> None:
    sender = Sender()
    sender.send(0, 5)
    sender.session.flush(1.0)
    (queued,) = sender.transport.records("queue.f.1")
    (accepted,) = sender.transport.records("runs")
    assert queued.key == accepted.key == request_id("f", "s", "5").encode()
    assert isinstance(decode(accepted.value), Accepted)
    assert queued.partition == partition_of(request_id("f", "s", "5"), 1)


def test_a_structured_event_goes_on_as_it_came_and_another_one_in_our_form() -> None:
    sender = Sender()
    sender.send(0, 5)
    sender.send(0, 6, structured=False)
    sender.session.flush(1.0)
    first, second = sender.transport.records("queue.f.1")
    assert first.value == b"as it came"
    assert b'"specversion":"1.0"' in (second.value or b"")


def test_what_is_rejected_keeps_its_bytes_its_headers_and_where_it_came_from() -> None:
    sender = Sender()
    record = Record("intake", 2, 5, 0, 0, b"k", b"{", (("theirs", b"1"),))
    sender.session.reject(record, Rejected(reason="no JSON"))
    sender.session.flush(1.0)
    (kept,) = sender.transport.records("rejected")
    assert (kept.key, kept.value) == (b"k", b"{")
    rejection = rejection_of(kept.value, kept.headers)
    assert (rejection.reason, rejection.origin, list(rejection.headers)) == (
        "no JSON",
        "intake/2/5",
        [("theirs", b"1")],
    )
    assert sender.transport.records("runs") == []
