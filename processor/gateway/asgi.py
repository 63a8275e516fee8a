"""The gateway's paths."""

from __future__ import annotations

import logging

from processor.core.errors import HeadraceError
from processor.gateway.cancel import CancelRoutes
from processor.gateway.events import EventRoutes
from processor.gateway.functions import FunctionRoutes
from processor.gateway.health import HealthRoutes
from processor.gateway.invoke import Invocations
from processor.gateway.problems import problem_of
from processor.gateway.rejected import RejectedRoutes
from processor.gateway.rest import RunRoutes
from processor.gateway.triggers import TriggerRoutes
from processor.http.app import Handlers, draining, handle, serve
from processor.http.message import Message, Receive, Request, Response, Scope, Send
from processor.http.problems import Refused, not_found
from processor.http.server import abort

log = logging.getLogger(__name__)


class App:
    """Every path with its handlers."""

    def __init__(
        self,
        *,
        invocations: Invocations,
        events: EventRoutes,
        runs: RunRoutes,
        cancel: CancelRoutes,
        functions: FunctionRoutes,
        triggers: TriggerRoutes,
        rejected: RejectedRoutes,
        health: HealthRoutes,
    ) -> None:
        self._invocations = invocations
        self._events = events
        self._runs = runs
        self._cancel = cancel
        self._functions = functions
        self._triggers = triggers
        self._rejected = rejected
        self._health = health
        #: Set once the gateway stops: what comes after is sent away, what is under way is finished.
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._respond, problem_of)

    async def _respond(self, request: Request, send: Send) -> Response | None:
        """None: the answer was a stream, and has been sent."""
        match request.segments:
            case ["healthz"]:
                return await handle(request, {"GET": self._health.alive})
            case ["readyz"]:
                return await handle(request, {"GET": self._health.ready})
            case _ if self.draining:
                raise Refused(_DRAINING)
            case ["v1", "runs", request_id, "logs"] if request.method in ("GET", "HEAD"):
                await self._stream(request, send, request_id)
                return None
            case _:
                return await handle(request, self._handlers(request))

    def _handlers(self, request: Request) -> Handlers:
        match request.segments:
            case ["v1", "functions", name, "invocations"]:
                return {"POST": lambda: self._invocations.post(request, name)}
            case ["v1", "events"]:
                return {"POST": lambda: self._events.post(request)}
            case ["v1", "functions"]:
                return {"GET": lambda: self._functions.list(request)}
            case ["v1", "functions", name]:
                return {
                    "GET": lambda: self._functions.get(request, name),
                    "PUT": lambda: self._functions.put(request, name),
                }
            case ["v1", "functions", name, "pause" | "resume" as action]:
                return {"POST": lambda: self._functions.set_paused(request, name, action == "pause")}
            case ["v1", "runs"]:
                return {"GET": lambda: self._runs.list(request)}
            case ["v1", "runs", request_id]:
                return {"GET": lambda: self._runs.get(request, request_id)}
            case ["v1", "runs", request_id, "cancel"]:
                return {"POST": lambda: self._cancel.post(request, request_id)}
            case ["v1", "runs", _, "logs"]:
                return {"GET": _never}
            case ["v1", "triggers", *rest] if handlers := self._triggers.handlers(request, rest):
                return handlers
            case ["v1", "rejected", *rest] if handlers := self._rejected.handlers(request, rest):
                return handlers
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
    "/v1/events",
    "/v1/functions",
    "/v1/functions/{name}",
    "/v1/functions/{name}/invocations",
    "/v1/functions/{name}/pause",
    "/v1/functions/{name}/resume",
    "/v1/rejected",
    "/v1/rejected/{id}",
    "/v1/rejected/{id}/redrive",
    "/v1/rejected/{id}/discard",
    "/v1/runs",
    "/v1/runs/{id}",
    "/v1/runs/{id}/logs",
    "/v1/runs/{id}/cancel",
    "/v1/triggers",
    "/v1/triggers/{id}",
    "/v1/triggers/{id}/pause",
    "/v1/triggers/{id}/resume",
    "/v1/triggers/{id}/fire",
    "/v1/triggers/{id}/fires/{request}",
    "/healthz",
    "/readyz",
)


async def _never() -> Response:
    raise AssertionError("streams are served before")


_DRAINING = draining("Gateway stops", "this gateway is stopping", "Send the request again, to another gateway.")
