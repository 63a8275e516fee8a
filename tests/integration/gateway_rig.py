"""A gateway on a free loopback port, on the embedded transport, with a recorder; and a client small enough to be slow,
rude or broken on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from processor.core.clock import SystemClock
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, encode
from processor.core.run import Delivery, StatusCode
from processor.core.topics import FUNCTIONS, INTAKE, LOGS, RUNS, TOPICS
from processor.gateway.service import Gateway
from processor.recorder.service import RecorderService
from processor.recorder.sqlite import SqliteHistoryStore
from processor.registry.code_store import CodeStore
from processor.registry.registry import Registry
from processor.transport.abstract import Record, Transport
from processor.transport.embedded import EmbeddedTransport

#: For anything a test waits for: mostly milliseconds, but a busy machine may take long.
LIMIT_SEC = 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> None:
        lines = [f"{method} {path} HTTP/1.1", "host: test", *(f"{name}: {value}" for name, value in headers)]
        if body or method in ("POST", "PUT"):
            lines.append(f"content-length: {len(body)}")
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), headers

    async def reply(self, *, has_body: bool = True) -> Reply:
        status, headers = await self.head()
        body = b""
        if has_body and headers.get("transfer-encoding") == "chunked":
            while part := await self.chunk():
                body += part
        elif has_body:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Reply(status=status, headers=headers, body=body)

    async def chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        part = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        return part

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Events:
    """Server-sent events of a connection, one at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._text = ""

    async def next(self) -> tuple[str, int | None, Any]:
        """(event, id, data)"""
        while True:
            while "\n\n" not in self._text:
                part = await self._connection.chunk()
                if not part:
                    raise EOFError("the stream ended")
                self._text += part.decode()
            frame, self._text = self._text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
            if "event" in fields:
                number = fields.get("id")
                return fields["event"], None if number is None else int(number), orjson.loads(fields["data"])

    async def until(self, name: str) -> tuple[list[Any], Any]:
        """The data of the lines before the event of that name, and its data."""
        lines: list[Any] = []
        while True:
            event, number, data = await self.next()
            if event == name:
                return lines, data
            assert event == "line"
            assert number == data["seq"]
            lines.append(data)


class Rig:
    def __init__(self, transport: Transport, data: Path) -> None:
        self.transport = transport
        self.clock = SystemClock()
        self.store = SqliteHistoryStore(data / "history.db")
        self.registry = Registry(transport, self.clock)
        self.gateway = Gateway(
            transport=transport,
            store=self.store,
            registry=self.registry,
            code=CodeStore(data / "code"),
            clock=self.clock,
            port=0,
            drain_sec=3,
        )
        self.recorder = RecorderService(transport=transport, store=self.store, clock=self.clock)
        self._producer = transport.producer()

    @property
    def port(self) -> int:
        return int(self.gateway.url.rsplit(":", 1)[1])

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))

    async def ask(self, method: str, path: str, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> Reply:
        connection = await self.connect()
        try:
            async with asyncio.timeout(LIMIT_SEC):
                await connection.send(method, path, headers, body)
                return await connection.reply(has_body=method != "HEAD")
        finally:
            await connection.close()

    async def invoke(self, body: bytes = b"{}", **headers: str) -> Reply:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await self.ask("POST", "/v1/functions/resize/invocations", headers=named, body=body)

    @contextlib.asynccontextmanager
    async def follow(self, request_id: str, *, after: int | None = None, query: str = "") -> AsyncIterator[Events]:
        connection = await self.connect()
        try:
            headers = [] if after is None else [("last-event-id", str(after))]
            await connection.send("GET", f"/v1/runs/{request_id}/logs?follow=1{query}", headers)
            status, got = await connection.head()
            assert (status, got["content-type"]) == (200, "text/event-stream; charset=utf-8")
            async with asyncio.timeout(LIMIT_SEC):
                yield Events(connection)
        finally:
            await connection.close()

    def write(self, *records: LedgerRecord) -> None:
        for record in records:
            self._producer.append(RUNS.name, encode(record), key=record.request_id.encode())
        self._producer.flush(LIMIT_SEC)

    def log(self, request_id: str, first: int, last: int, *, delivery: str = "queue.resize.1/0/1") -> None:
        lines = [[seq, "stdout", None, 1_795_478_400_000 + seq, f"line {seq}"] for seq in range(first, last + 1)]
        document = {"request_id": request_id, "function": "resize", "delivery": delivery, "lines": lines}
        self._producer.append(LOGS.name, orjson.dumps(document), key=request_id.encode())
        self._producer.flush(LIMIT_SEC)

    def deploy(self, function: Function) -> None:
        self._producer.append(FUNCTIONS.name, encode_function(function), key=function.name.encode())
        self._producer.flush(LIMIT_SEC)

    def intake(self) -> list[Record]:
        reader = self.transport.reader()
        bounds = reader.bounds(reader.partitions(INTAKE.name, 5), 5)
        reader.assign({each: bound.low for each, bound in bounds.items()})
        total = sum(bound.high - bound.low for bound in bounds.values())
        found: list[Record] = []
        while len(found) < total:
            found += reader.poll(1_000, 1.0)
        reader.close()
        return found

    async def until_recorded(self, request_id: str, status: str) -> None:
        async def recorded() -> bool:
            run = await asyncio.to_thread(self.store.get_run, request_id)
            return run is not None and run["status"] == status

        await eventually(recorded)

    async def until_deployed(self, name: str) -> None:
        async def deployed() -> bool:
            return (await self.ask("GET", f"/v1/functions/{name}")).status == 200

        await eventually(deployed)

    async def until_no_connections(self) -> None:
        async def none() -> bool:
            server = self.gateway._server
            assert server is not None
            return not server._uvicorn.server_state.connections

        await eventually(none)

    async def until_followers(self, count: int) -> None:
        async def counted() -> bool:
            return self.gateway._hub.count == count

        await eventually(counted)

    def close(self) -> None:
        self._producer.close()


@contextlib.asynccontextmanager
async def running(data: Path, *, recorder: bool = True, on: Transport | None = None) -> AsyncIterator[Rig]:
    with on or EmbeddedTransport(data / "log") as transport:
        await asyncio.to_thread(transport.admin().create_topics, TOPICS, 30)
        rig = Rig(transport, data)
        rig.store.open_for_writing()
        rig.deploy(function())
        if recorder:
            rig.recorder.start()
        rig.registry.start()
        await rig.gateway.start()
        await rig.gateway.ready()
        try:
            yield rig
        finally:
            await rig.gateway.stop()
            if recorder:
                rig.recorder.stop()
                rig.recorder.join(5)
            rig.registry.stop()
            rig.close()
            rig.store.close()


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """For what happens in other threads, and tells nobody."""
    async with asyncio.timeout(LIMIT_SEC):
        while True:
            if await check():
                return
            await asyncio.sleep(0.01)


def function(name: str = "resize", **settings: Any) -> Function:
    return Function(
        name=name,
        current=FunctionVersion(version="v1", handler="app:main", code_digest="0" * 64, env={"TOKEN": "secret"}),
        **settings,
    )


def accepted(request_id: str) -> Accepted:
    return Accepted(
        request_id=request_id,
        function="resize",
        version="v1",
        trigger="http",
        source="headrace:http/resize",
        event_id="e",
        subject=None,
        accepted_at_ms=1_795_478_400_000,
        intake=Position(0, 0, 0),
    )


def started(request_id: str) -> Started:
    return Started(
        request_id=request_id,
        function="resize",
        delivery=Delivery("queue.resize.1", 0, 1),
        executor="e#1",
        started_at_ms=1_795_478_400_100,
    )


def ended(request_id: str, *, lines: int = 0, code: StatusCode = StatusCode.OK) -> Ended:
    return Ended(
        request_id=request_id,
        function="resize",
        delivery=Delivery("queue.resize.1", 0, 1),
        status_code=code,
        result=b'{"ok":true}',
        executor="e#1",
        started_at_ms=1_795_478_400_100,
        ended_at_ms=1_795_478_400_900,
        duration_ms=800.0,
        log_lines=lines,
    )
