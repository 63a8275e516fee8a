from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from processor.core.errors import HeadraceError
from processor.http.message import Scope

#: A connection that has not sent the whole head of a request by then is closed; uvicorn would wait for ever.
HEAD_LIMIT_SEC = 15.0
#: Neither may the head of a request be longer: uvicorn's parser would keep any number of headers.
HEAD_LIMIT_BYTES = 65_536
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
KEEP_ALIVE_SEC = 60
#: A client that has taken nothing for so long, although there is something to take, is cut off by the kernel: after the
#: last byte of an answer nobody here waits for it any more.
STUCK_LIMIT_MS = 30_000
_BACKLOG = 2_048
_ABORT = "headrace.abort"
_START_LIMIT_SEC = 10.0


class AddressInUse(HeadraceError):
    """The address cannot be listened on."""

    def __init__(self, address: Address, reason: str) -> None:
        remedy = f"Stop what listens there, or choose another port: {address.setting}."
        super().__init__(
            f"{address.owner} cannot listen on {address.host} port {address.port}: {reason}", remedy=remedy
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where to listen, and what people need to hear when that fails."""

    host: str
    #: 0 takes any free one.
    port: int
    #: Who listens: "the gateway".
    owner: str
    #: The setting that chooses the port.
    setting: str


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with limits for the head of a request, and with a way to drop a connection whose client reads
    nothing: a close would wait for ever to send what is buffered.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_LIMIT_SEC, transport.abort)

    def data_received(self, data: bytes) -> None:
        head = self._head_timer
        super().data_received(data)
        if head is None or head is not self._head_timer:  # what came was not, or not only, of one head
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

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

    def __init__(self, app: Any, address: Address, *, drain_sec: int) -> None:
        self._address = address
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                interface="asgi3",
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
        #: The real port too, once it listens.
        self.address: tuple[str, int] = (address.host, address.port)

    async def start(self) -> None:
        """Returns when connections are accepted. Raises AddressInUse."""
        listener = _listen(self._address)
        self.address = listener.getsockname()[:2]
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name=f"http {self._address.owner}")
        up = asyncio.create_task(self._uvicorn.up.wait())
        await asyncio.wait({up, self._task}, timeout=_START_LIMIT_SEC, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await self._task

    async def join(self) -> None:
        """Returns when it serves no more; it has been started. Raises what ended it."""
        assert self._task is not None  # started
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Accepts no more connections, finishes what is under way within drain_sec, closes the rest."""
        if self._task is None:
            return
        self._uvicorn.should_exit = True
        await self._task
        self._abort_all()

    def kill(self) -> None:
        """Now: drops what is under way. A `stop` that is waiting returns soon."""
        self._uvicorn.should_exit = self._uvicorn.force_exit = True
        self._abort_all()

    def _abort_all(self) -> None:
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()


def url_of(address: tuple[str, int]) -> str:
    host, port = address
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_LIMIT_MS)
        listener.bind((address.host, address.port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise AddressInUse(address, error.strerror or str(error)) from error
    return listener
