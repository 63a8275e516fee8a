"""Headers as one blob: per header the lengths of name and content, then both."""

from __future__ import annotations

import struct

from processor.transport.abstract import Headers

_LENGTHS = struct.Struct("<II")


def encode(headers: Headers) -> bytes | None:
    """None when there are none: most records of the log."""
    if not headers:
        return None
    parts: list[bytes] = []
    for name, content in headers:
        encoded = name.encode()
        parts += (_LENGTHS.pack(len(encoded), len(content)), encoded, content)
    return b"".join(parts)


def decode(blob: bytes | None) -> Headers:
    if blob is None:
        return ()
    headers = []
    at = 0
    while at < len(blob):
        name_bytes, content_bytes = _LENGTHS.unpack_from(blob, at)
        name_at = at + _LENGTHS.size
        content_at = name_at + name_bytes
        at = content_at + content_bytes
        headers.append((blob[name_at:content_at].decode(), blob[content_at:at]))
    return tuple(headers)
