"""Pure: the event of one record, or of a batch, in each event_format.

A shape renders each record to JSON on its own (`element`) and puts rendered records together (`wrap`): so a batch's
size is known while it grows, and the values go in byte for byte.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

from triggers.kafka.abstract import BadRecord, Headers, SourceRecord
from triggers.kafka.values import Kind, value_of

_JSON_TYPE = "application/json"


class Shape(ABC):
    """How the handler gets records."""

    @abstractmethod
    def element(self, record: SourceRecord) -> bytes | BadRecord:
        """One record as JSON."""

    @abstractmethod
    def wrap(self, partition: str, elements: Sequence[bytes]) -> bytes:
        """The whole of the event's data. partition: topic-partition, as AWS names it."""


class PlainShape(Shape):
    """Ours, for batches: {"records": [...]}, with value or value_base64, key or key_base64."""

    def __init__(self, declared: str) -> None:
        self._declared = declared

    def element(self, record: SourceRecord) -> bytes | BadRecord:
        value = value_of(record.value, self._declared)
        if isinstance(value, BadRecord):
            return value
        document: dict[str, object] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "time": rfc3339(record.timestamp_ms),
        }
        if record.key is not None:
            document.update(text_or_base64("key", record.key))
        if record.headers:
            document["headers"] = headers_document(record.headers)
        if value.kind is Kind.JSON:
            document["value"] = orjson.Fragment(value.data)
        elif value.kind is Kind.TEXT:
            document["value"] = value.data.decode()
        elif value.kind is Kind.BINARY:
            document["value_base64"] = base64.b64encode(value.data).decode()
        else:
            document["value"] = None
        return orjson.dumps(document)

    def wrap(self, partition: str, elements: Sequence[bytes]) -> bytes:
        return b'{"records":[' + b",".join(elements) + b"]}"


class ScfShape(Shape):
    """Tencent's CKafka trigger. Its msgBody is text; an absent key is the text "None", an absent value too."""

    def __init__(self, declared: str) -> None:
        self._declared = declared

    def element(self, record: SourceRecord) -> bytes | BadRecord:
        value = value_of(record.value, self._declared)
        if isinstance(value, BadRecord):
            return value
        body = {Kind.NOTHING: "None", Kind.BINARY: _base64(value.data)}.get(value.kind)
        message = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "msgKey": "None" if record.key is None else _text(record.key),
            "msgBody": value.data.decode() if body is None else body,
        }
        return orjson.dumps({"Ckafka": message})

    def wrap(self, partition: str, elements: Sequence[bytes]) -> bytes:
        return b'{"Records":[' + b",".join(elements) + b"]}"


class AwsShape(Shape):
    """Lambda's event source mapping of a self-managed Kafka. Key and value are base64 whatever they are, so `value`
    says only what is let through; without a key (or a value) there is no such member.
    """

    def __init__(self, declared: str, bootstrap_servers: str) -> None:
        self._declared = declared
        head = {"eventSource": "SelfManagedKafka", "bootstrapServers": bootstrap_servers, "records": {}}
        self._head = orjson.dumps(head).removesuffix(b"}}")

    def element(self, record: SourceRecord) -> bytes | BadRecord:
        if self._declared in ("json", "text"):
            value = value_of(record.value, self._declared)
            if isinstance(value, BadRecord):
                return value
        document: dict[str, object] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp_ms,
            "timestampType": "LOG_APPEND_TIME" if record.log_append_time else "CREATE_TIME",
        }
        if record.key is not None:
            document["key"] = _base64(record.key)
        if record.value is not None:
            document["value"] = _base64(record.value)
        document["headers"] = [{name: list(value)} for name, value in record.headers]
        return orjson.dumps(document)

    def wrap(self, partition: str, elements: Sequence[bytes]) -> bytes:
        return self._head + orjson.dumps(partition) + b":[" + b",".join(elements) + b"]}}"


def shape_of(event_format: str, declared: str, bootstrap_servers: str) -> Shape:
    if event_format == "scf":
        return ScfShape(declared)
    if event_format == "aws":
        return AwsShape(declared, bootstrap_servers)
    return PlainShape(declared)


def text_or_base64(name: str, value: bytes) -> dict[str, str]:
    """{name: text}, or {name_base64: ...} for what is not UTF-8."""
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": _base64(value)}


def headers_document(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, **text_or_base64("value", value)} for name, value in headers]


def rfc3339(unix_ms: int) -> str | None:
    """None for what is no time: -1 stands for none, and a producer may have written anything."""
    try:
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms >= 0 else None
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _base64(data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
