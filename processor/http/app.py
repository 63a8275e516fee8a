"""What every ASGI application of ours does alike: which handler, within which time, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from processor.core.errors import HeadraceError
from processor.http.identity import uuid7
from processor.http.message import ClientGone, Receive, Request, Response, Scope, Send
from processor.http.problems import PROBLEM_TYPE, Problem, Refused, unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: No answer takes longer, except for streams, which have a limit for every piece they send. The longest wait is 60 s.
HANDLER_LIMIT_SEC = 90.0

Handler = Callable[[], Awaitable[Response]]
Handlers = Mapping[str, Handler]
#: None: it has sent its answer itself.
Respond = Callable[[Request, Send], Awaitable[Response | None]]
ProblemOf = Callable[[HeadraceError], Problem]


async def serve(scope: Scope, receive: Receive, send: Send, respond: Respond, problem_of: ProblemOf) -> None:
    """Answers one request; the one place where errors become answers."""
    request = Request(scope, receive)
    try:
        response = await respond(request, send)
    except ClientGone:
        return
    except HeadraceError as error:
        response = problem_response(problem_of(error), request)
    except Exception:
        log.exception("%s %s failed", request.method, request.path, extra={"action": "request_failed"})
        response = problem_response(BUG, request)
    if response is not None:
        await response.send(send, response.run or uuid7())


async def handle(request: Request, handlers: Handlers, limit_sec: float = HANDLER_LIMIT_SEC) -> Response:
    """By method; HEAD is served by GET. Raises Refused (405, 503) and what the handler raises."""
    handler = handlers.get("GET" if request.method == "HEAD" and "HEAD" not in handlers else request.method)
    if handler is None:
        return without_handler(request, [*handlers, *(["HEAD"] if "GET" in handlers else [])])
    return await in_time(handler(), limit_sec)


async def in_time(work: Awaitable[T], limit_sec: float = HANDLER_LIMIT_SEC) -> T:
    """Raises Refused (503) when it takes longer than this answer may."""
    try:
        async with asyncio.timeout(limit_sec):
            return await work
    except TimeoutError:
        raise Refused(_too_long(limit_sec)) from None


def without_handler(request: Request, methods: list[str]) -> Response:
    """The answer to OPTIONS; raises Refused (405) for every other method."""
    allow = [*methods, *([] if "OPTIONS" in methods else ["OPTIONS"])]
    if request.method == "OPTIONS":
        return Response(status=204, headers=[(b"allow", ", ".join(allow).encode())])
    raise Refused(
        Problem(
            status=405,
            name="method-not-allowed",
            title="Method not allowed",
            detail=f"{request.path} does not take {request.method}",
            remedy=f"It takes {', '.join(allow)}.",
            allow=allow,
        )
    )


def problem_response(problem: Problem, request: Request) -> Response:
    return Response(
        status=problem.status,
        body=problem.body(request.path),
        content_type=PROBLEM_TYPE,
        headers=problem.headers(),
        run=problem.request_id,
    )


def draining(title: str, detail: str, remedy: str) -> Problem:
    """For what comes in while the process stops."""
    return replace(unavailable("draining", title, detail, remedy=remedy), close=True)


#: Of what nobody has foreseen.
BUG = Problem(
    status=500,
    name="internal",
    title="Internal error",
    detail="this request could not be served because of a mistake in Headrace",
    remedy="Look at the log of the process that answered.",
)


def _too_long(limit_sec: float) -> Problem:
    return unavailable(
        "too-long",
        "No answer in time",
        f"the request was not served within {limit_sec:g} seconds",
        remedy="Send it again: an event with its own Idempotency-Key is never run twice.",
    )
