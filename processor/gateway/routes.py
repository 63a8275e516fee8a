from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Path
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One method of one path of the control API: what serves it, and what /openapi.json says of it."""

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    #: Status -> model of the answer's document.
    answers: Mapping[int, type]
    #: Statuses of problem documents; 400, 404, 405, 500 and 503 go without saying.
    problems: tuple[int, ...] = ()
    tag: str = ""
    #: Further members of the operation.
    more: Mapping[str, Any] = field(default_factory=dict)


async def _actor(request: Request) -> str:
    return actor_of(request.client.host if request.client else None)


def actor_of(host: str | None) -> str:
    """Who asked, for people."""
    return f"api {host or 'unknown'}"


#: Parameters of endpoints.
Actor = Annotated[str, Depends(_actor)]
RunId = Annotated[str, Path(description="RequestId")]
FunctionName = Annotated[str, Path(description="Name of the function")]
