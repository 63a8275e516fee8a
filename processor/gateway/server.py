from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from processor.core.errors import HeadraceError
from processor.gateway.http import Scope

#: A connection that has not sent the whole head of a request by then is closed; uvicorn would wait for ever.
HEAD_LIMIT_SEC = 15.0
KEEP_ALIVE_SEC = 60
#: A client that has taken nothing for so long, although there is something to take, is cut off by the kernel: after the
#: last byte of an answer nobody here waits for it any more.
STUCK_LIMIT_MS = 30_000
_BACKLOG = 2_048
_ABORT = "headrace.abort"
_START_LIMIT_SEC = 10.0


class AddressInUse(HeadraceError):
    """The gateway cannot listen on its address."""

    remedy = "Stop what listens there, or choose another port: HEADRACE_GATEWAY__PORT."


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with a time limit for the head of a request, and with a way to drop a connection whose client reads
    nothing: a close would wait for ever to send what is buffered.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_LIMIT_SEC, transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_LIMIT_SEC, self.transport.abort)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self.scope["extensions"] = {_ABORT: self.transport.abort}  # type: ignore[dict-item]  # an extension of ours
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def abort(scope: Scope) -> None:
    """Drops the request's connection now."""
    end = scope.get("extensions", {}).get(_ABORT)
    if end is not None:
        end()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals are the business of the role, which may be more than a gateway


class Server:
    """uvicorn on one address, inside a running event loop."""

    def __init__(self, app: Any, *, host: str, port: int, drain_sec: int) -> None:
        self._host = host
        self._port = port
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SEC,
                timeout_graceful_shutdown=drain_sec,
                backlog=_BACKLOG,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self.address: tuple[str, int] = (host, port)

    async def start(self) -> None:
        """Returns when connections are accepted. Raises AddressInUse."""
        listener = _listen(self._host, self._port)
        self.address = listener.getsockname()[:2]
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="gateway-http")
        up = asyncio.create_task(self._uvicorn.up.wait())
        await asyncio.wait({up, self._task}, timeout=_START_LIMIT_SEC, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await self._task

    async def stop(self) -> None:
        """Accepts no more connections, finishes what is under way within drain_sec, closes the rest."""
        if self._task is None:
            return
        self._uvicorn.should_exit = True
        await self._task
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_LIMIT_MS)
        listener.bind((host, port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AddressInUse(f"the gateway cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener
