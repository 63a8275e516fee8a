"""A TCP proxy before a broker that does what networks do: cut, delay, swallow, and lose one answer after the fact."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import Future
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"
CALL_SEC = 10.0
DELAY_SEC = 0.3
#: Kafka's numbers of requests (protocol guide, "API keys").
PRODUCE, OFFSET_COMMIT = 0, 8
_CHUNK_BYTES = 1 << 16
_LENGTH_BYTES = 4
#: No request of ours comes near; a length beyond it is no Kafka.
_MAX_FRAME_BYTES = 1 << 27


class Network(Enum):
    FINE = "fine"
    #: Connections are reset, new ones too.
    CUT = "cut"
    #: Connections stay, and nothing passes any more.
    SILENT = "silent"
    SLOW = "slow"
    #: Requests of this kind arrive; their answer is lost, with the connection.
    NO_COMMIT_ANSWERS = "no commit answers"
    NO_APPEND_ANSWERS = "no append answers"


_LOST_ANSWERS = {Network.NO_COMMIT_ANSWERS: OFFSET_COMMIT, Network.NO_APPEND_ANSWERS: PRODUCE}


class Proxies:
    """Proxies by name, several to a name, on a thread and a loop of their own. Thread-safe."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._proxies: dict[str, list[Proxy]] = {}

    def open(self, name: str, *, port: int, upstream_port: int) -> None:
        proxy = Proxy(port=port, upstream_port=upstream_port)
        self._proxies.setdefault(name, []).append(proxy)
        self._call(proxy.start())

    def set(self, name: str, network: Network) -> None:
        for proxy in self._proxies[name]:
            self._call(proxy.set(network))

    def heal(self) -> None:
        for name in self._proxies:
            self.set(name, Network.FINE)

    def lost_answers(self) -> Counter[Network]:
        """How many answers of each kind were lost."""
        return sum((each.lost_answers for each in self._all()), Counter())

    def close(self) -> None:
        for proxy in self._all():
            self._call(proxy.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SEC)
        self._loop.close()

    def _all(self) -> list[Proxy]:
        return [proxy for proxies in self._proxies.values() for proxy in proxies]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(CALL_SEC)


class Proxy:
    """One listening port, one upstream. On one event loop."""

    def __init__(self, *, port: int, upstream_port: int) -> None:
        self._port, self._upstream_port = port, upstream_port
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.network = Network.FINE
        #: Set while bytes may pass.
        self.passing = asyncio.Event()
        self.passing.set()
        self.lost_answers: Counter[Network] = Counter()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self._port)

    async def set(self, network: Network) -> None:
        self.network = network
        if network is Network.SILENT:
            self.passing.clear()
        else:
            self.passing.set()
        if network is Network.CUT:
            self.reset_all()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset_all(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except OSError:
            pass  # either side may go at any time: that is what we are for
        except asyncio.CancelledError:
            pass  # raised on, it would be logged by the server as a failure
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.network is Network.CUT:
            return
        up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self._upstream_port)
        link = _Link(self, (reader, writer), (up_reader, up_writer))
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.reset()


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection of a client and ours to the broker for it."""

    def __init__(self, proxy: Proxy, client: _Ends, broker: _Ends) -> None:
        self._proxy = proxy
        self._client, self._broker = client, broker
        #: Correlation ids of requests whose answer is to be lost, and why.
        self._lost: dict[bytes, Network] = {}

    def reset(self) -> None:
        for _, writer in (self._client, self._broker):
            writer.transport.abort()

    async def run(self) -> None:
        """Until one side has closed."""
        tasks = [asyncio.ensure_future(self._requests()), asyncio.ensure_future(self._answers())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(OSError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _requests(self) -> None:
        while (frame := await _frame(self._client[0])) is not None:
            network = self._proxy.network
            if _LOST_ANSWERS.get(network) == int.from_bytes(frame[4:6], "big"):
                self._lost[frame[8:12]] = network
            await self._pass(self._broker[1], frame)

    async def _answers(self) -> None:
        while (frame := await _frame(self._broker[0])) is not None:
            if frame[4:8] in self._lost:
                self._proxy.lost_answers[self._lost.pop(frame[4:8])] += 1
                return  # and with it the connection
            await self._pass(self._client[1], frame)

    async def _pass(self, writer: asyncio.StreamWriter, frame: bytes) -> None:
        await self._proxy.passing.wait()
        if self._proxy.network is Network.SLOW:
            await asyncio.sleep(DELAY_SEC)
        writer.write(frame)
        await writer.drain()


async def _frame(reader: asyncio.StreamReader) -> bytes | None:
    """One message of Kafka's protocol, its length before it; None: the other side has closed."""
    try:
        length = await reader.readexactly(_LENGTH_BYTES)
        if (size := int.from_bytes(length, "big")) > _MAX_FRAME_BYTES:
            return None
        return length + await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        return None
