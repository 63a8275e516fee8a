"""Who an HTTP event is: its Idempotency-Key, or a fresh id."""

from __future__ import annotations

import os
import re
import time

from processor.http.problems import Refused, bad_request

MAX_KEY_CHARS = 255
#: A string of RFC 9651: printable ASCII in quotes, with \" and \\ for the two that need it.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ESCAPE = re.compile(r'\\(["\\])')


def uuid7() -> str:
    """RFC 9562, 5.7: 48 bits of Unix milliseconds, then 74 random bits."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62
    text = f"{value | random & ((1 << 62) - 1):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_idempotency_key(header: str) -> str:
    """The key of a quoted structured-field string or of a bare value. Raises Refused (400)."""
    text = header.strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = _ESCAPE.sub(r"\1", quoted[1])
    elif not text.startswith('"') and _BARE.fullmatch(text):
        key = text
    else:
        raise _bad_key("is neither a quoted string nor printable ASCII")
    if not key:
        raise _bad_key("is empty")
    if len(key) > MAX_KEY_CHARS:
        raise _bad_key(f"has {len(key)} characters; the limit is {MAX_KEY_CHARS}")
    return key


def _bad_key(what: str) -> Refused:
    return bad_request(
        f"the Idempotency-Key {what}",
        remedy=f'Send 1 to {MAX_KEY_CHARS} printable ASCII characters, for example Idempotency-Key: "order-4711".',
    )
