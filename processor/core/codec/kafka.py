"""CloudEvents on Kafka: the protocol binding's binary and structured content modes."""

from __future__ import annotations

from collections.abc import Sequence

from processor.core.codec.attributes import Malformed, to_event
from processor.core.codec.json_format import decode_structured
from processor.core.codec.modes import batch_unwanted, is_batch, is_json_envelope, is_structured, wrong_format
from processor.core.event import Event

Headers = Sequence[tuple[str, bytes]] | Sequence[tuple[str, bytes | None]]

_PREFIX = "ce_"


def decode_kafka(headers: Headers, value: bytes | None) -> Event | Malformed:
    """The content-type alone decides the mode. A null value means no data; b"" is empty data."""
    content_type = b""
    for name, raw in headers:
        if raw is not None and name.lower() == "content-type":
            content_type = raw
    if is_structured(content_type):
        return _structured(content_type, value)
    return _binary(headers, content_type, value)


def _structured(content_type: bytes, value: bytes | None) -> Event | Malformed:
    if is_batch(content_type):
        return batch_unwanted("Kafka has no batch mode")
    if not is_json_envelope(content_type):
        return wrong_format(content_type)
    if value is None:
        return Malformed("the record has no value: in structured mode the value holds the whole event as JSON")
    return decode_structured(value)


def _binary(headers: Headers, content_type: bytes, value: bytes | None) -> Event | Malformed:
    attributes: dict[str, object] = {}
    for name, raw in headers:
        if raw is not None and name.startswith(_PREFIX):
            fault = _add(attributes, name, raw)
            if fault:
                return fault
    if not attributes:
        return Malformed(
            "the record is no CloudEvent: send headers ce_specversion, ce_id, ce_source and ce_type, "
            "or content-type application/cloudevents+json with the whole event as the value"
        )
    if content_type:
        try:
            attributes["datacontenttype"] = content_type.decode()
        except UnicodeDecodeError:
            return Malformed("header 'content-type' is not UTF-8: send it as UTF-8")
    return to_event(attributes, value)


def _add(attributes: dict[str, object], header: str, raw: bytes) -> Malformed | None:
    name = header[len(_PREFIX) :]
    if name == "datacontenttype":
        return Malformed("header 'ce_datacontenttype' is not allowed: send it as 'content-type'")
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        return Malformed(f"header {header!r} is not UTF-8: send it as UTF-8")
    if attributes.setdefault(name, value) != value:
        return Malformed(f"header {header!r} comes twice with different values: send it once")
    return None
