"""Pure: what the bytes of a record's value are, as declared by the trigger's `value`."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import orjson

from triggers.kafka.abstract import BadRecord

#: orjson reads 1024 levels; the event around the value, and the batch around that, need some of them.
_LEVELS = 1_000
_TOO_DEEP = BadRecord(reason="the value is JSON nested too deep: declare value: base64, or send it flatter")


class Kind(Enum):
    NOTHING = ""  # a tombstone
    JSON = "application/json"
    TEXT = "text/plain"
    BINARY = "application/octet-stream"


class Value(NamedTuple):
    kind: Kind
    data: bytes


_NOTHING = Value(Kind.NOTHING, b"")


def value_of(data: bytes | None, declared: str) -> Value | BadRecord:
    """declared: "auto", "json", "text" or "base64"."""
    if data is None:
        return _NOTHING
    if declared == "base64":
        return Value(Kind.BINARY, data)
    if declared != "text":
        fault = _json_fault(data)
        if fault is None:
            return _TOO_DEEP if _is_too_deep(data) else Value(Kind.JSON, data)
        if declared == "json":
            return BadRecord(reason=f"the value is declared as JSON and is none: {fault}")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if declared == "text":
            return BadRecord(reason=f"the value is declared as text and is not UTF-8: {error}")
        return Value(Kind.BINARY, data)
    return Value(Kind.TEXT, data)


def _json_fault(data: bytes) -> str | None:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return str(error)
    return None


def _is_too_deep(data: bytes) -> bool:
    """Said without counting levels: brackets are counted only where there could be so many."""
    return data.count(b"[") + data.count(b"{") > _LEVELS and _depth(data) > _LEVELS


def _depth(data: bytes) -> int:
    depth = deepest = 0
    in_text = False
    escaped = False
    for byte in data:
        if in_text:
            in_text = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
