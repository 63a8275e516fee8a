"""Takes the caller's signatures out of a notification. COS sends them along: with one, its caller's rights can be used
until it expires, and whatever is on a topic is read by many.
"""

from __future__ import annotations

import re
from typing import Any

_HEADERS = "requestHeaders"
_CARRIER = _HEADERS.encode()
_SECRET_HEADERS = frozenset({"authorization", "x-cos-security-token", "x-amz-security-token", "cookie"})
#: For bytes that are no JSON: a header of such a name with its value, quoted as JSON or as JSON within JSON.
_SECRET_TEXT = re.compile(
    rb'(?i)(\\*"(?:authorization|x-cos-security-token|x-amz-security-token|cookie)\\*"\s*:\s*)(\\*")[^"]*"?'
)


def may_have_secrets(raw: bytes) -> bool:
    """Whether there can be anything to take out of this JSON. With a backslash the name may be written otherwise."""
    return _CARRIER in raw or b"\\" in raw


def scrubbed(document: Any) -> Any:
    """A copy without secret headers, in whatever depth the `requestHeaders` stand."""
    if isinstance(document, dict):
        return {name: _headers(value) if name == _HEADERS else scrubbed(value) for name, value in document.items()}
    if isinstance(document, list):
        return [scrubbed(each) for each in document]
    return document


def scrubbed_bytes(raw: bytes) -> bytes:
    """For what cannot be read."""
    return _SECRET_TEXT.sub(rb"\1\2removed\2", raw)


def _headers(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {name: each for name, each in value.items() if name.lower() not in _SECRET_HEADERS}
