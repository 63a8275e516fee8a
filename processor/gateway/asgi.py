"""The gateway's paths."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from processor.core.errors import HeadraceError
from processor.gateway.changes import ChangeRoutes
from processor.gateway.control import Control
from processor.gateway.events import EventRoutes
from processor.gateway.faces import Faces
from processor.gateway.health import HealthRoutes
from processor.gateway.invoke import Invocations
from processor.gateway.outcome import MAX_SYNC_SEC
from processor.gateway.problems import problem_of
from processor.gateway.rest import RunRoutes
from processor.http.app import HANDLER_LIMIT_SEC, handle, serve, without_handler
from processor.http.message import Message, Receive, Request, Response, Scope, Send
from processor.http.origin import check_origin
from processor.http.server import abort

#: A synchronous function answers when it has ended.
INVOKE_LIMIT_SEC = MAX_SYNC_SEC + HANDLER_LIMIT_SEC

log = logging.getLogger(__name__)


class App:
    """The raw paths, which are hot or stream, with their handlers; the control API has all others."""

    def __init__(
        self,
        *,
        invocations: Invocations,
        events: EventRoutes,
        runs: RunRoutes,
        changes: ChangeRoutes,
        health: HealthRoutes,
        control: Control,
    ) -> None:
        self._invocations = invocations
        self._events = events
        self._runs = runs
        self._changes = changes
        self._health = health
        self.control = control
        self._faces = Faces(self)
        #: Set once the gateway stops: /readyz says so. What still comes over open connections is served until the
        #: server has closed them: a client that was refused there could only send it again.
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._respond, problem_of)

    async def _respond(self, request: Request, send: Send) -> Response | None:
        """None: the answer has been sent."""
        check_origin(request)
        match request.segments:
            case ["healthz"]:
                return await handle(request, {"GET": self._health.alive})
            case ["readyz"]:
                return await handle(request, {"GET": self._health.ready})
            case ["v1", "functions", name, "invocations"]:
                return await handle(request, {"POST": lambda: self._invocations.post(request, name)}, INVOKE_LIMIT_SEC)
            case ["v1", "events"]:
                return await handle(request, {"POST": lambda: self._events.post(request)})
            case ["v1", "runs", "changes"] if request.method in ("GET", "HEAD"):
                await self._stream(send, lambda noted: self._changes.get(request, noted), request)
                return None
            case ["v1", "runs", "changes"] | ["v1", "runs", _, "logs"] if request.method not in ("GET", "HEAD"):
                return without_handler(request, ["GET", "HEAD"])
            case ["v1", "runs", request_id, "logs"]:
                await self._stream(send, lambda noted: self._runs.logs(request, noted, request_id), request)
                return None
            case _ if handlers := self._faces.handlers(request):
                waits = request.segments[0] != "console"  # a page waits for nobody's run
                return await handle(request, handlers, INVOKE_LIMIT_SEC if waits else HANDLER_LIMIT_SEC)
            case _:
                return await self.control.respond(request, send)

    async def _stream(self, send: Send, stream: Callable[[Send], Awaitable[None]], request: Request) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await stream(noted)
        except HeadraceError as error:
            if not begun:
                raise
            log.warning("%s ended early: %s", request.path, error, extra={"action": "stream_cut"})
            abort(request.scope)  # the client must not take what it has for everything
        except Exception:
            if not begun:
                raise
            log.exception("%s ended early", request.path, extra={"action": "stream_cut"})
            abort(request.scope)
