"""Pure: records of a topic as events of a `kafka` trigger."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from processor.core.event import Event
from processor.core.topics import MAX_EVENT_BYTES
from triggers.abstract import Binding
from triggers.kafka.abstract import BadRecord, Normalise, SourceRecord
from triggers.kafka.shapes import Shape, headers_document, rfc3339, shape_of, text_or_base64
from triggers.kafka.values import Kind, value_of

RECORD_TYPE = "kafka.record"
BATCH_TYPE = "kafka.batch"
KEY, KEY_BASE64, HEADERS = "kafkakey", "kafkakeybase64", "kafkaheaders"
_PLATFORMS = frozenset({"scf", "aws"})
_JSON_TYPE = "application/json"


def normaliser_of(binding: Binding, bootstrap_servers: str) -> Normalise:
    """One event for each record: its value alone is the event's data, unless a platform's shape is asked for."""
    declared = str(binding.settings.get("value", "auto"))
    if binding.event_format in _PLATFORMS:
        shape = shape_of(binding.event_format, declared, bootstrap_servers)
        return lambda record: _shaped(record, shape)
    return lambda record: _plain(record, declared)


def batch_event(
    first: SourceRecord, shape: Shape, elements: Sequence[bytes], *, begin: int, end: int, stamp: str
) -> Event:
    """begin, end: the offsets the batch covers, end excluded; stamp: see `plan`. With these three fixed, the identity
    is.
    """
    partition = f"{first.topic}-{first.partition}"
    return Event(
        id=f"{first.partition}-{begin}-{end - 1}-{stamp}",
        source=first.source_uri,
        type=BATCH_TYPE,
        subject=f"{first.topic}/{first.partition}/{begin}-{end - 1}",
        time=rfc3339(first.timestamp_ms),
        datacontenttype=_JSON_TYPE,
        data=shape.wrap(partition, elements),
    )


def _plain(record: SourceRecord, declared: str) -> Sequence[Event] | BadRecord:
    value = value_of(record.value, declared)
    if isinstance(value, BadRecord):
        return value
    if len(value.data) > MAX_EVENT_BYTES:
        return _too_large(len(value.data))
    data = None if value.kind is Kind.NOTHING else value.data
    return (_event(record, value.kind.value or None, data, _extensions(record)),)


def _shaped(record: SourceRecord, shape: Shape) -> Sequence[Event] | BadRecord:
    element = shape.element(record)
    if isinstance(element, BadRecord):
        return element
    data = shape.wrap(f"{record.topic}-{record.partition}", (element,))
    if len(data) > MAX_EVENT_BYTES:
        return _too_large(len(data))
    return (_event(record, _JSON_TYPE, data, {}),)


def _event(record: SourceRecord, content_type: str | None, data: bytes | None, extensions: dict[str, str]) -> Event:
    return Event(
        id=record.position_id,
        source=record.source_uri,
        type=RECORD_TYPE,
        subject=record.origin,
        time=rfc3339(record.timestamp_ms),
        datacontenttype=content_type,
        extensions=extensions,
        data=data,
    )


def _extensions(record: SourceRecord) -> dict[str, str]:
    """Key and headers as attributes, which are text; names of attributes have no underscore."""
    found: dict[str, str] = {}
    if record.key is not None:
        found = {name.replace("_", ""): text for name, text in text_or_base64(KEY, record.key).items()}
    if record.headers:
        found[HEADERS] = orjson.dumps(headers_document(record.headers)).decode()
    return found


def _too_large(size_bytes: int) -> BadRecord:
    return BadRecord(reason=f"the event would have {size_bytes:,} bytes; the limit is {MAX_EVENT_BYTES:,}")
