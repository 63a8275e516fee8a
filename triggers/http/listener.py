"""The address at which the triggers of this process are called."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator

from processor.core.errors import HeadraceError
from processor.core.function import Function
from processor.http.app import draining, serve, without_handler
from processor.http.message import Receive, Request, Response, Scope, Send
from processor.http.problems import Problem, Refused, not_found, problem_of, unavailable
from processor.http.server import Address, AddressInUse, Server, url_of
from triggers.http.declared import is_declared
from triggers.http.routes import Found, Route, Routes

log = logging.getLogger(__name__)

#: Requests under way get this long to finish once the listener stops.
DRAIN_SEC = 10
#: How often an address that is in use is tried again.
RETRY_SEC = 1.0
#: Path of one request. It becomes part of the event's source, which the ledger and the history keep.
MAX_PATH_CHARS = 2_048


class Listener:
    """Listens from its first route on, so that a process without such triggers needs no port. Used on one event loop.

    An address that somebody else has is no end: `trouble` says so, and it is tried again. functions: all that are
    known, in any state.
    """

    def __init__(
        self,
        address: Address,
        *,
        functions: Callable[[], Iterable[Function]] = tuple,
        drain_sec: int = DRAIN_SEC,
        retry_sec: float = RETRY_SEC,
    ) -> None:
        self._address = address
        self._functions = functions
        self._drain_sec = drain_sec
        self._retry_sec = retry_sec
        self._routes = Routes()
        self._server: Server | None = None
        self._listening: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._draining = False
        #: Why it does not listen.
        self.trouble: HeadraceError | None = None

    @property
    def url(self) -> str | None:
        """Where it listens; None while it does not."""
        return None if self._server is None else url_of(self._server.address)

    @contextlib.contextmanager
    def serving(self, route: Route) -> Iterator[None]:
        """The route is served inside. Raises RouteTaken."""
        self._routes.add(route)
        try:
            if self._listening is None and not self._draining:
                self._listening = asyncio.create_task(self._listen(), name="trigger-listener")
            yield
        finally:
            self._routes.remove(route)

    async def settled(self, timeout_sec: float) -> None:
        """Returns when it is known whether the address can be had, or after timeout_sec."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                await self._tried.wait()

    async def stop(self) -> None:
        """What comes from now on is sent away; what is under way is finished, within drain_sec."""
        self._draining = True
        if self._server is not None:
            await self._server.stop()
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening

    def kill(self) -> None:
        """Now: drops the requests under way. A `stop` that is waiting returns soon."""
        if self._server is not None:
            self._server.kill()

    async def _listen(self) -> None:
        while not self._draining:
            server = Server(self._app, self._address, drain_sec=self._drain_sec)
            try:
                await server.start()
                await self._serve(server)
            except AddressInUse as error:
                self._note(error)
            except Exception as error:  # whatever it is, the triggers are called again in a moment
                log.exception("the listener ended: %s", error, extra={"action": "listener_failed"})
            finally:
                with contextlib.suppress(Exception):  # what ended it, once more
                    await server.stop()
            await asyncio.sleep(self._retry_sec)

    async def _serve(self, server: Server) -> None:
        self._server, self.trouble = server, None
        self._tried.set()
        log.info("triggers are called at %s", self.url, extra={"action": "listener_up"})
        try:
            await server.join()
        finally:
            if not self._draining:
                self._server = None

    def _note(self, error: AddressInUse) -> None:
        if self.trouble is None:
            log.warning("%s. %s", error, error.remedy, extra={"action": "listener_waiting"})
        self.trouble = error
        self._tried.set()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._respond, problem_of)

    async def _respond(self, request: Request, _: Send) -> Response:
        if self._draining:
            raise Refused(_DRAINING)
        if len(request.path) > MAX_PATH_CHARS:
            raise Refused(_TOO_LONG)
        found = self._routes.find(request.method, request.segments)
        if isinstance(found, Found):
            return await found.route.answer(request, found.parameters)
        if found:
            return without_handler(request, found)
        if is_declared(self._functions(), request.segments):
            raise Refused(_NOT_SERVED)
        raise not_found(f"no trigger has the path {request.path}", remedy="Look at `http` triggers in the manifest.")


_DRAINING = draining("Listener stops", "this listener is stopping", "Send the request again, to another replica.")
_NOT_SERVED = unavailable(
    "not-served",
    "Not served now",
    "the trigger of this path is paused, disabled or not yet started",
    remedy="Send the request again later; `headrace triggers ls` says what it waits for.",
)
_TOO_LONG = Problem(
    status=414,
    name="path-too-long",
    title="Path too long",
    detail=f"the path has more than {MAX_PATH_CHARS:,} characters",
    remedy="Put what is long into the body.",
)
