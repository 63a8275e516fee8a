"""The proxy against a server that answers each request, in Kafka's framing, with its own words."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from processor.ops.chaos.proxy import OFFSET_COMMIT, PRODUCE, Network, Proxies, Proxy

FETCH = 1
LIMIT_SEC = 20.0


def request(kind: int, correlation: int) -> bytes:
    body = kind.to_bytes(2, "big") + b"\0\0" + correlation.to_bytes(4, "big") + b"words"
    return len(body).to_bytes(4, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return await reader.readexactly(size)


@dataclass(slots=True)
class Upstream:
    """Answers with the correlation id alone."""

    seen: list[int] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await read_frame(reader)
                self.seen.append(int.from_bytes(frame[:2], "big"))
                writer.write((4).to_bytes(4, "big") + frame[4:8])
        except (asyncio.IncompleteReadError, OSError):
            writer.close()


@dataclass(slots=True)
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, kind: int, correlation: int) -> int:
        """The correlation id of the answer. Raises IncompleteReadError or OSError when it is cut off."""
        self.writer.write(request(kind, correlation))
        return int.from_bytes(await read_frame(self.reader), "big")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def played(scene: Callable[[Proxy, Upstream, Callable[[], Awaitable[Client]]], Awaitable[None]]) -> None:
    async def play() -> None:
        upstream, port = Upstream(), free_port()
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
        proxy = Proxy(port=port, upstream_port=server.sockets[0].getsockname()[1])
        await proxy.start()
        clients: list[Client] = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
            return clients[-1]

        try:
            async with asyncio.timeout(LIMIT_SEC):
                await scene(proxy, upstream, connect)
        finally:
            for client in clients:
                client.writer.close()
            await proxy.stop()
            server.close()
            await server.wait_closed()

    asyncio.run(play())


def test_what_is_asked_is_answered_while_the_network_is_fine() -> None:
    async def scene(proxy: Proxy, upstream: Upstream, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        assert [await client.ask(kind, kind + 100) for kind in (PRODUCE, FETCH, OFFSET_COMMIT)] == [100, 101, 108]
        assert not proxy.lost_answers

    played(scene)


@pytest.mark.parametrize(
    ("network", "kind"), [(Network.NO_COMMIT_ANSWERS, OFFSET_COMMIT), (Network.NO_APPEND_ANSWERS, PRODUCE)]
)
def test_a_lost_answer_is_that_of_a_request_which_arrived_and_takes_the_connection_with_it(
    network: Network, kind: int
) -> None:
    async def scene(proxy: Proxy, upstream: Upstream, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        await proxy.set(network)
        assert await client.ask(FETCH, 1) == 1
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await client.ask(kind, 2)
        assert upstream.seen == [FETCH, kind]
        assert proxy.lost_answers == {network: 1}
        await proxy.set(Network.FINE)
        assert await (await connect()).ask(kind, 3) == 3

    played(scene)


def test_a_cut_resets_old_and_new_connections_until_it_is_healed() -> None:
    async def scene(proxy: Proxy, upstream: Upstream, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        assert await client.ask(FETCH, 1) == 1
        await proxy.set(Network.CUT)
        for each in (client, await connect()):
            with pytest.raises((asyncio.IncompleteReadError, OSError)):
                await each.ask(FETCH, 2)
        await proxy.set(Network.FINE)
        assert await (await connect()).ask(FETCH, 3) == 3
        assert upstream.seen == [FETCH, FETCH]

    played(scene)


def test_silence_holds_bytes_back_and_delivers_them_afterwards() -> None:
    async def scene(proxy: Proxy, upstream: Upstream, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        assert await client.ask(FETCH, 1) == 1
        await proxy.set(Network.SILENT)
        answer = asyncio.create_task(client.ask(FETCH, 2))
        done, _ = await asyncio.wait({answer}, timeout=0.2)
        assert not done
        assert upstream.seen == [FETCH]
        await proxy.set(Network.FINE)
        assert await answer == 2

    played(scene)


def test_delayed_bytes_arrive() -> None:
    async def scene(proxy: Proxy, upstream: Upstream, connect: Callable[[], Awaitable[Client]]) -> None:
        await proxy.set(Network.SLOW)
        assert await (await connect()).ask(FETCH, 1) == 1

    played(scene)


def test_an_upstream_that_is_away_is_a_reset_and_not_the_end_of_the_proxy() -> None:
    proxies, port = Proxies(), free_port()
    try:
        proxies.open("role", port=port, upstream_port=free_port())
        for _ in range(2):
            client = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SEC)
            with client, contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        proxies.set("role", Network.CUT)
        proxies.heal()
        assert not proxies.lost_answers()
    finally:
        proxies.close()
