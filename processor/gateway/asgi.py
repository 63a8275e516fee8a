"""The ASGI application: which handler, within which time, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from processor.core.errors import HeadraceError
from processor.gateway.functions import FunctionRoutes
from processor.gateway.health import HealthRoutes
from processor.gateway.http import ClientGone, Message, Receive, Request, Response, Scope, Send
from processor.gateway.identity import uuid7
from processor.gateway.invoke import Invocations
from processor.gateway.problems import PROBLEM_TYPE, Problem, Refused, not_found, problem_of, unavailable
from processor.gateway.rest import RunRoutes
from processor.gateway.server import abort

log = logging.getLogger(__name__)

#: No answer takes longer, except for streams, which have a limit for every piece they send. The longest wait is 60 s.
HANDLER_LIMIT_SEC = 90.0
Handler = Callable[[], Awaitable[Response]]
Handlers = dict[str, Handler]


class App:
    """Every path with its handlers; one place where errors become answers."""

    def __init__(
        self, *, invocations: Invocations, runs: RunRoutes, functions: FunctionRoutes, health: HealthRoutes
    ) -> None:
        self._invocations = invocations
        self._runs = runs
        self._functions = functions
        self._health = health
        #: Set once the gateway stops: what comes after is sent away, what is under way is finished.
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request, send)
        except ClientGone:
            return
        except HeadraceError as error:
            response = _problem_response(problem_of(error), request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path, extra={"action": "request_failed"})
            response = _problem_response(_BUG, request)
        if response is not None:
            await response.send(send, response.run or uuid7())

    async def _respond(self, request: Request, send: Send) -> Response | None:
        """None: the answer was a stream, and has been sent."""
        match request.segments:
            case ["healthz"]:
                return await _handle(request, {"GET": self._health.alive})
            case ["readyz"]:
                return await _handle(request, {"GET": self._health.ready})
            case _ if self.draining:
                raise Refused(_DRAINING)
            case ["v1", "runs", request_id, "logs"] if request.method in ("GET", "HEAD"):
                await self._stream(request, send, request_id)
                return None
            case _:
                return await _handle(request, self._handlers(request))

    def _handlers(self, request: Request) -> Handlers:
        match request.segments:
            case ["v1", "functions", name, "invocations"]:
                return {"POST": lambda: self._invocations.post(request, name)}
            case ["v1", "functions"]:
                return {"GET": lambda: self._functions.list(request)}
            case ["v1", "functions", name]:
                return {
                    "GET": lambda: self._functions.get(request, name),
                    "PUT": lambda: self._functions.put(request, name),
                }
            case ["v1", "runs"]:
                return {"GET": lambda: self._runs.list(request)}
            case ["v1", "runs", request_id]:
                return {"GET": lambda: self._runs.get(request, request_id)}
            case ["v1", "runs", _, "logs"]:
                return {"GET": _never}
            case _:
                raise not_found(f"there is nothing at {request.path}", remedy=f"Addresses: {', '.join(_PATHS)}.")

    async def _stream(self, request: Request, send: Send, request_id: str) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._runs.logs(request, noted, request_id)
        except HeadraceError as error:
            if not begun:
                raise
            log.warning("a stream ended early: %s", error, extra={"action": "stream_cut", "request_id": request_id})
            abort(request.scope)  # the client must not take what it has for everything


_PATHS = (
    "/v1/functions",
    "/v1/functions/{name}",
    "/v1/functions/{name}/invocations",
    "/v1/runs",
    "/v1/runs/{id}",
    "/v1/runs/{id}/logs",
    "/healthz",
    "/readyz",
)


async def _handle(request: Request, handlers: Handlers) -> Response:
    handler = handlers.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        return _without_handler(request, handlers)
    try:
        async with asyncio.timeout(HANDLER_LIMIT_SEC):
            return await handler()
    except TimeoutError:
        raise Refused(_TOO_LONG) from None


def _without_handler(request: Request, handlers: Handlers) -> Response:
    allow = [*handlers, *(["HEAD"] if "GET" in handlers else []), "OPTIONS"]
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


async def _never() -> Response:
    raise AssertionError("streams are served before")


def _problem_response(problem: Problem, request: Request) -> Response:
    return Response(
        status=problem.status,
        body=problem.body(request.path),
        content_type=PROBLEM_TYPE,
        headers=problem.headers(),
        run=problem.request_id,
    )


_BUG = Problem(
    status=500,
    name="internal",
    title="Internal error",
    detail="the gateway failed to serve this request",
    remedy="Look at the gateway's log.",
)
_TOO_LONG = unavailable(
    "too-long",
    "No answer in time",
    f"the request was not served within {HANDLER_LIMIT_SEC:g} seconds",
    remedy="Send it again: an event with its own Idempotency-Key is never run twice.",
)
_DRAINING = replace(
    unavailable(
        "draining", "Gateway stops", "this gateway is stopping", remedy="Send the request again, to another gateway."
    ),
    close=True,
)
