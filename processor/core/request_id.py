from __future__ import annotations

import hashlib
import re

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def request_id(function: str, source: str, event_id: str) -> str:
    """The id of the run of one function for one event: a pure function of both, so any replica gives the same answer.

    UUIDv8 (RFC 9562, 5.8) over the first 122 bits of SHA-256(function NUL source NUL id).
    """
    digest = hashlib.sha256(b"\0".join((function.encode(), source.encode(), event_id.encode()))).digest()
    bits = int.from_bytes(digest[:16], "big") >> 6
    high, mid, low = bits >> 74, (bits >> 62) & 0xFFF, bits & ((1 << 62) - 1)
    value = (high << 80) | (0x8 << 76) | (mid << 64) | (0b10 << 62) | low
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_request_id(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def partition_of(request_id: str, partitions: int) -> int:
    """The partition of every topic that a run passes. The last 48 bits of a RequestId are hash bits, hence even."""
    return int(request_id[-12:], 16) % partitions
