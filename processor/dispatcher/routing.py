"""Where an intake record goes: a pure function of the record and of what is known about functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processor.core.codec import Malformed, decode_kafka
from processor.core.errors import HeadraceError
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, Event
from processor.core.function import NAME, Function
from processor.core.ledger import Accepted, Ended, Position
from processor.core.request_id import request_id
from processor.core.run import RunError, StatusCode
from processor.core.topics import MAX_MESSAGE_BYTES, RECORD_HEADROOM_BYTES
from processor.transport.abstract import Record

#: What foreign producers' events show as their trigger, and the shape their handlers get.
FOREIGN_TRIGGER = "intake"
FOREIGN_FORMAT = "cloudevents"


@dataclass(frozen=True, kw_only=True, slots=True)
class Routed:
    """Goes to its function's queue. `structured` is true when the record's value can be passed on as it is."""

    function: Function
    accepted: Accepted
    event: Event
    event_format: str
    structured: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """Goes to `rejected` with its bytes and the reason; with a verdict when its RequestId can be told."""

    reason: str
    accepted: Accepted | None = None
    verdict: Ended | None = None


def route(record: Record, find: Callable[[str], Function | None]) -> Routed | Rejected:
    """`find` must have read `functions` to its present end before it answers None (DESIGN 5.2)."""
    event = decode_kafka(record.headers, record.value)
    if isinstance(event, Malformed):
        return Rejected(reason=event.reason)
    name = event.function
    if not name:
        return Rejected(reason=f"the event names no function: set the extension attribute {FUNCTION_ATTRIBUTE!r}")
    if not NAME.fullmatch(name):
        return Rejected(reason=f"the event names no function: {name[:100]!r} cannot be the name of one")
    function = find(name)
    accepted = _accepted(record, event, name, function)
    if function is None:
        return _refuse(accepted, f"no function is named {name!r}: deploy it, then send the event again", _NO_FUNCTION)
    if len(record.value or b"") > MAX_MESSAGE_BYTES - RECORD_HEADROOM_BYTES:
        return _refuse(
            accepted, "the event is too large for its queue: send the address of the payload instead", _NOT_QUEUED
        )
    return Routed(
        function=function,
        accepted=accepted,
        event=event,
        event_format=event.extensions.get(FORMAT_ATTRIBUTE, FOREIGN_FORMAT),
        structured=_is_structured(record),
    )


def unroutable(routed: Routed, error: HeadraceError) -> Rejected:
    """Its queue, or the ledger, does not take it."""
    return _refuse(routed.accepted, f"the event cannot be queued: {error}", _NOT_QUEUED)


def position_of(record: Record) -> Position:
    return Position(record.partition, record.leader_epoch, record.offset)


def _accepted(record: Record, event: Event, name: str, function: Function | None) -> Accepted:
    return Accepted(
        request_id=request_id(name, event.source, event.id),
        function=name,
        version=function.current.version if function else "",
        trigger=event.extensions.get(TRIGGER_ATTRIBUTE, FOREIGN_TRIGGER),
        source=event.source,
        event_id=event.id,
        subject=event.subject,
        accepted_at_ms=record.timestamp_ms,
        intake=position_of(record),
    )


#: Status code and error type of what never reaches a queue.
_NO_FUNCTION = (StatusCode.FUNCTION_NOT_FOUND, "FunctionNotFound")
_NOT_QUEUED = (StatusCode.INSTANCE_LOST, "EventNotQueued")


def _refuse(accepted: Accepted, reason: str, why: tuple[StatusCode, str]) -> Rejected:
    verdict = Ended(
        request_id=accepted.request_id,
        function=accepted.function,
        delivery=None,
        status_code=why[0],
        error=RunError(type=why[1], message=reason),
        ended_at_ms=accepted.accepted_at_ms,
    )
    return Rejected(reason=reason, accepted=accepted, verdict=verdict)


def _is_structured(record: Record) -> bool:
    return any(
        name.lower() == "content-type" and value[:22].lower() == b"application/cloudevent"
        for name, value in record.headers
    )
