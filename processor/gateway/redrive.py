"""What sending a rejected record again means. Pure.

What came from `intake` goes there again with the bytes and headers it had, so its identity, and with it its RequestId,
is the same. What an adapter rejected never was an event: its function gets the raw bytes in an event that says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import orjson

from processor.core.codec import STRUCTURED_CONTENT_TYPE, Malformed, decode_kafka, encode_structured
from processor.core.event import FUNCTION_ATTRIBUTE, Event
from processor.core.rejected import Headers, Rejection, rejection_of
from processor.core.topics import INTAKE
from processor.gateway.rejected_log import place_of
from processor.http.problems import Problem, Refused
from processor.recorder.store import timestamp
from processor.transport.abstract import Record

EVENT_TYPE = "headrace.rejected.redriven"
EVENT_SOURCE = "headrace:rejected"
#: Which trigger had rejected the bytes.
TRIGGER_EXTENSION = "rejectedby"
#: CloudEvents forbids them in attributes; the origin may be the key of an object, where they are allowed.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ToIntake:
    """Appended to `intake` as it is."""

    function: str
    source: str
    id: str
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, kw_only=True, slots=True)
class ToFunction:
    """Accepted as an event of our own."""

    function: str
    event: Event


def plan(record: Record, function: str | None) -> ToIntake | ToFunction:
    """function: for whom it is, when it names nobody, or somebody else than it names. Raises Refused (409, 422)."""
    rejection = rejection_of(record.value, record.headers)
    if rejection.truncated:
        raise Refused(_problem(409, "cut", "only the first part of it was kept: it is too large", _SEND_ANEW))
    if came_from_intake(rejection):
        return _to_intake(record, rejection, function)
    name = function or rejection.function
    if not name:
        raise Refused(_problem(422, "no-function", "it names no function", _NAME_ONE))
    return ToFunction(function=name, event=_raw_event(record, rejection))


def came_from_intake(rejection: Rejection) -> bool:
    return not rejection.trigger and rejection.origin.startswith(f"{INTAKE.name}/")


def _to_intake(record: Record, rejection: Rejection, function: str | None) -> ToIntake:
    event = decode_kafka(rejection.headers, record.value)
    if isinstance(event, Malformed):
        raise Refused(_problem(422, "no-event", f"it would be rejected again: {event.reason}", _SEND_ANEW))
    name = function or event.function
    if not name:
        raise Refused(_problem(422, "no-function", "the event names no function", _NAME_ONE))
    value, headers = record.value, rejection.headers
    if name != event.function:
        named = replace(event, extensions={**event.extensions, FUNCTION_ATTRIBUTE: name})
        value, headers = encode_structured(named), (("content-type", STRUCTURED_CONTENT_TYPE.encode()),)
    return ToIntake(function=name, source=event.source, id=event.id, value=value, headers=headers)


def _raw_event(record: Record, rejection: Rejection) -> Event:
    """Its identity is the place and the time of the rejection: a repeat gives the same RequestId."""
    extensions = {TRIGGER_EXTENSION: rejection.trigger} if rejection.trigger else {}
    return Event(
        id=f"{place_of(record)}@{record.timestamp_ms}",
        source=EVENT_SOURCE,
        type=EVENT_TYPE,
        subject=_CONTROL.sub("�", rejection.origin) or None,
        time=timestamp(record.timestamp_ms),
        datacontenttype="application/json" if _is_json(rejection.raw) else "application/octet-stream",
        extensions=extensions,
        data=rejection.raw,
    )


def _is_json(raw: bytes) -> bool:
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def _problem(status: int, name: str, detail: str, remedy: str) -> Problem:
    return Problem(status=status, name=name, title="Cannot be redriven", detail=detail, remedy=remedy)


_NAME_ONE = "Name one: `headrace rejected redrive ID --function NAME`."
_SEND_ANEW = "Correct it at its source and send it anew; `headrace rejected discard ID` takes it off the list."
