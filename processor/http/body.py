"""What a body is said to be, and whether it is."""

from __future__ import annotations

import orjson

from processor.http.message import Request
from processor.http.problems import Problem, Refused, bad_request

JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


def content_type_of(content_type: str, body: bytes) -> str:
    """What the body is. A form that begins like JSON is JSON: curl calls everything a form unless told otherwise."""
    if not content_type or (content_type.startswith(_FORM) and body.lstrip()[:1] in (b"{", b"[", b'"')):
        return JSON
    return content_type


def check_json(body: bytes) -> None:
    """Raises Refused (400), naming the byte at which it is no JSON any more."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            f"the body is not JSON: {error.msg} at byte {_byte_position(body, error.pos)}",
            remedy="Send JSON, or say what the body is: Content-Type: text/plain, application/octet-stream, ...",
        ) from error


def check_encoding(request: Request) -> None:
    """Raises Refused (415) for a compressed body: a small one could become a very large one."""
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise unsupported("a compressed body", remedy="Send the body without Content-Encoding.")


def unsupported(what: str, *, remedy: str) -> Refused:
    return Refused(
        Problem(
            status=415,
            name="unsupported-media-type",
            title="Unsupported media type",
            detail=f"this address does not take {what}",
            remedy=remedy,
        )
    )


def _byte_position(body: bytes, characters: int) -> int:
    try:
        return len(body.decode()[:characters].encode())
    except UnicodeDecodeError as error:
        return error.start
