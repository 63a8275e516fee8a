"""CloudEvents over HTTP: the protocol binding's binary, structured and batched content modes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from urllib.parse import unquote_to_bytes

import orjson

from processor.core.codec.attributes import Malformed, to_event
from processor.core.codec.json_format import decode_structured
from processor.core.codec.json_member import elements
from processor.core.codec.modes import batch_unwanted, is_batch, is_json_envelope, is_structured, wrong_format
from processor.core.event import Event

Headers = Sequence[tuple[bytes, bytes]]

_PREFIX = b"ce-"
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class HttpMode(Enum):
    BINARY = "binary"
    STRUCTURED = "structured"
    BATCH = "batch"
    #: Not a CloudEvent: neither ce- headers nor a CloudEvents content type.
    PLAIN = "plain"


def http_mode(headers: Headers) -> HttpMode:
    """Header names in any case. Any ce- header makes it binary, so that an incomplete event is told what it lacks."""
    mode = HttpMode.PLAIN
    for name, value in headers:
        lower = name.lower()
        if lower == b"content-type" and is_structured(value):
            return HttpMode.BATCH if is_batch(value) else HttpMode.STRUCTURED
        if lower.startswith(_PREFIX):
            mode = HttpMode.BINARY
    return mode


def decode_http(headers: Headers, body: bytes) -> Event | Malformed:
    """One event, binary or structured. An empty body without a content type means no data."""
    content_type = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    if is_structured(content_type):
        return _structured(content_type, body)
    return _binary(headers, content_type, body)


def decode_http_batch(
    content_type: bytes, body: bytes, *, max_events: int | None = None
) -> list[Event | Malformed] | Malformed:
    """The events in order, each decoded or malformed by itself; Malformed when the body is no batch at all, or has
    more than max_events: a few bytes are enough for an event that only costs time.
    """
    if not (is_batch(content_type) and is_json_envelope(content_type)):
        return Malformed("a batch needs content-type application/cloudevents-batch+json")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return Malformed(f"the batch is not valid JSON: {error}")
    if not isinstance(parsed, list):
        return Malformed("a batch must be a JSON array of events")
    if max_events is not None and len(parsed) > max_events:
        return Malformed(f"the batch has {len(parsed):,} events: send at most {max_events:,} at once")
    try:
        return [decode_structured(each.encode()) for each in elements(body.decode())]
    except RecursionError:
        return Malformed("the batch is nested too deep: send its data flatter, or as 'data_base64'")


def _structured(content_type: bytes, body: bytes) -> Event | Malformed:
    if is_batch(content_type):
        return batch_unwanted("one event is expected")
    if not is_json_envelope(content_type):
        return wrong_format(content_type)
    return decode_structured(body)


def _binary(headers: Headers, content_type: bytes, body: bytes) -> Event | Malformed:
    attributes: dict[str, object] = {}
    for name, raw in headers:
        lower = name.lower()
        if lower.startswith(_PREFIX):
            fault = _add(attributes, lower, raw)
            if fault:
                return fault
    if not attributes:
        return Malformed(
            "the request is no CloudEvent: send headers ce-specversion, ce-id, ce-source and ce-type, "
            "or Content-Type application/cloudevents+json with the whole event as the body"
        )
    if content_type:
        try:
            attributes["datacontenttype"] = content_type.decode()
        except UnicodeDecodeError:
            return Malformed("header 'Content-Type' is not UTF-8: send it as UTF-8")
    return to_event(attributes, body if body or content_type else None)


def _add(attributes: dict[str, object], header: bytes, raw: bytes) -> Malformed | None:
    shown = header.decode("latin-1")
    name = shown[len(_PREFIX) :]
    if name == "datacontenttype":
        return Malformed("header 'ce-datacontenttype' is not allowed: send it as 'Content-Type'")
    try:
        value = _header_text(raw)
    except UnicodeDecodeError:
        return Malformed(f"header {shown!r} is not UTF-8 once percent-decoded: encode text as UTF-8 first")
    if attributes.setdefault(name, value) != value:
        return Malformed(f"header {shown!r} comes twice with different values: send it once")
    return None


def _header_text(raw: bytes) -> str:
    """Undoes a quoted string, then one round of percent-encoding. Raises UnicodeDecodeError."""
    if raw[:1] == b'"' and raw[-1:] == b'"' and len(raw) > 1:
        raw = _ESCAPED.sub(rb"\1", raw[1:-1])
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
