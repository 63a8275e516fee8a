"""Every refusal as RFC 9457 application/problem+json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from processor.core.codec import Unencodable
from processor.core.errors import HeadraceError
from processor.dispatcher.accept import EventTooLarge, FunctionDisabled, NotAccepted, RateExceeded, UnknownFunction
from processor.transport.abstract import TransportError

PROBLEM_TYPE = b"application/problem+json"
_TYPE_PREFIX = "urn:headrace:problem:"
#: For a service that is restarting or whose broker is away.
RETRY_AFTER_SEC = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    status: int
    #: The last part of `type`, which programs may compare.
    name: str
    title: str
    detail: str
    remedy: str = ""
    request_id: str | None = None
    retry_after_sec: float | None = None
    allow: Sequence[str] = ()
    #: One {"pointer" or "parameter", "detail"} for each thing that is wrong.
    errors: Sequence[dict[str, Any]] = ()
    #: Further members of the document.
    more: Mapping[str, Any] = field(default_factory=dict)
    #: The connection cannot be used again: the rest of the request was not read.
    close: bool = False

    def body(self, instance: str) -> bytes:
        document: dict[str, Any] = {
            "type": _TYPE_PREFIX + self.name,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
        }
        optional = {"request_id": self.request_id, "remedy": self.remedy, "errors": list(self.errors), **self.more}
        return orjson.dumps(document | {name: value for name, value in optional.items() if value})

    def headers(self) -> list[tuple[bytes, bytes]]:
        headers = []
        if self.retry_after_sec is not None:
            headers.append((b"retry-after", str(max(math.ceil(self.retry_after_sec), 1)).encode()))
        if self.allow:
            headers.append((b"allow", ", ".join(self.allow).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if self.close:
            headers.append((b"connection", b"close"))
        return headers


class Refused(HeadraceError):
    """The request cannot be served."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, remedy=problem.remedy)
        self.problem = problem


def bad_request(detail: str, *, remedy: str = "", errors: Sequence[dict[str, Any]] = ()) -> Refused:
    return Refused(
        Problem(status=400, name="bad-request", title="Bad request", detail=detail, remedy=remedy, errors=errors)
    )


def not_found(detail: str, *, remedy: str = "") -> Refused:
    return Refused(Problem(status=404, name="not-found", title="Not found", detail=detail, remedy=remedy))


def unavailable(name: str, title: str, detail: str, *, remedy: str = "", request_id: str | None = None) -> Problem:
    return Problem(
        status=503,
        name=name,
        title=title,
        detail=detail,
        remedy=remedy,
        request_id=request_id,
        retry_after_sec=RETRY_AFTER_SEC,
    )


def problem_of(error: HeadraceError) -> Problem:
    """What an HTTP caller is told of an error on the way to the intake log."""
    match error:
        case Refused():
            return error.problem
        case RateExceeded():
            return told(429, "rate-exceeded", "Rate limit reached", error, retry_after_sec=error.retry_after_sec)
        case NotAccepted():
            return unavailable(
                "not-accepted", "Not accepted", str(error), remedy=error.remedy, request_id=error.request_id
            )
        case UnknownFunction():
            return told(404, "unknown-function", "Unknown function", error)
        case FunctionDisabled():
            return told(409, "function-disabled", "Function is disabled", error)
        case EventTooLarge():
            return told(413, "too-large", "Event too large", error)
        case Unencodable():
            return told(400, "bad-request", "Bad request", error)
        case TransportError():
            return unavailable("transport-unavailable", "Log not reachable", str(error), remedy=error.remedy)
        case _:
            return told(500, "internal", "Internal error", error)


def told(status: int, name: str, title: str, error: HeadraceError, *, retry_after_sec: float | None = None) -> Problem:
    return Problem(
        status=status,
        name=name,
        title=title,
        detail=str(error),
        remedy=error.remedy,
        retry_after_sec=retry_after_sec,
    )
