"""HTTP load from callers that do not give up: each event goes out under its own key until it is acknowledged."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import orjson

CONNECTIONS = 48
ANSWER_SEC = 20.0
RETRY_SEC = 0.2
#: What was begun is brought to its end for so long.
END_SEC = 120.0
HOST = "127.0.0.1"


class Acknowledged(NamedTuple):
    """Unix seconds: when the event was due, when its acknowledgement was here."""

    due_sec: float
    at_sec: float


@dataclass(slots=True)
class Told:
    """By RequestId what was acknowledged; and what else came back, by status, 0 for no answer at all."""

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    others: Counter[int] = field(default_factory=Counter)

    def longest_gap_sec(self) -> float:
        """In which nothing was acknowledged."""
        times = sorted(each.at_sec for each in self.acknowledged.values())
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)

    def longest_wait_sec(self) -> float:
        """Of one event until it was acknowledged."""
        return max((each.at_sec - each.due_sec for each in self.acknowledged.values()), default=0.0)


@contextmanager
def patient_load(port: Callable[[], int], function: str, per_sec: float) -> Iterator[Told]:
    """While inside. port: asked for each connection. What it yields is complete on the way out."""
    told, over = Told(), threading.Event()
    load = _Load(port, function, told)
    thread = threading.Thread(target=lambda: asyncio.run(load.run(per_sec, over)), name="load", daemon=True)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join(END_SEC)


class _Load:
    def __init__(self, port: Callable[[], int], function: str, told: Told) -> None:
        self._port, self._path, self._told = port, f"/v1/functions/{function}/invocations", told
        self._due: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()

    async def run(self, per_sec: float, over: threading.Event) -> None:
        callers = [asyncio.create_task(self._call()) for _ in range(CONNECTIONS)]
        began_sec, number = time.time(), 0
        while not over.is_set():
            due_sec = began_sec + number / per_sec
            await asyncio.sleep(max(due_sec - time.time(), 0.0))
            self._due.put_nowait((f"patient-{number}", due_sec))
            number += 1
        for _ in callers:
            self._due.put_nowait(None)
        await asyncio.gather(*callers)

    async def _call(self) -> None:
        line = _Line(self._port)
        while (event := await self._due.get()) is not None:
            key, due_sec = event
            run = await self._insist(line, key)
            self._told.acknowledged[run] = Acknowledged(due_sec, time.time())
        line.hang_up()

    async def _insist(self, line: _Line, key: str) -> str:
        while True:
            if (run := await self._try(line, key)) is not None:
                return run
            await asyncio.sleep(RETRY_SEC)

    async def _try(self, line: _Line, key: str) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SEC):
                status, body = await line.post(self._path, key)
        except (OSError, EOFError, TimeoutError, ValueError):
            line.hang_up()
            self._told.others[0] += 1
            return None
        if status == 202:
            return str(orjson.loads(body)["request_id"])
        self._told.others[status] += 1
        return None


class _Line:
    """One keep-alive connection, opened when it is needed."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, key: str) -> tuple[int, bytes]:
        """Raises OSError, EOFError, ValueError."""
        if self._ends is None or self._ends[0].at_eof():
            self.hang_up()
            self._ends = await asyncio.open_connection(HOST, self._port())
        reader, writer = self._ends
        head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        writer.write(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        lengths = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
        body = await reader.readexactly(lengths[0] if lengths else 0)
        if "connection: close" in lines:
            self.hang_up()
        return int(lines[0].split(" ")[1]), body

    def hang_up(self) -> None:
        if self._ends is not None:
            self._ends[1].transport.abort()
            self._ends = None
