from __future__ import annotations

import asyncio
from collections import deque

import orjson

from processor.http.in_process import Api, address

#: A recorder that is minutes behind holds nobody up: what has been read by then is the tail.
_LIMIT_SEC = 30.0
_DATA, _LINE = b"data: ", b'{"seq"'


class Tail:
    """The newest lines that fit; a run may print any number of them."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._lines: deque[str] = deque()
        self._rest = b""
        #: Lines that did not fit.
        self.left_out = 0

    def feed(self, piece: bytes) -> None:
        """piece: of /v1/runs/{id}/logs, as server-sent events or as JSON lines."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for each in whole:
            document = each.removeprefix(_DATA)
            if document.startswith(_LINE):
                self._add(str(orjson.loads(document)["text"]))

    def lines(self) -> list[str]:
        """Oldest first; says how many are missing before them."""
        missing = [f"... {self.left_out} earlier lines are not shown here"] if self.left_out else []
        return [*missing, *self._lines]

    def _add(self, text: str) -> None:
        self._lines.append(text)
        self._bytes += len(text)
        while self._bytes > self._limit_bytes and len(self._lines) > 1:
            self._bytes -= len(self._lines.popleft())
            self.left_out += 1


async def log_tail(api: Api, request_id: str, limit_bytes: int, *, ended: bool) -> list[str]:
    """The last lines of a run. Of one that has ended the log is followed to its end: the last lines may still be on
    their way into the history.
    """
    tail = Tail(limit_bytes)
    asked = {"follow": 1} if ended else {"format": "json"}
    try:
        async with asyncio.timeout(_LIMIT_SEC):
            await api.read("GET", address("v1", "runs", request_id, "logs", **asked), tail.feed)
    except TimeoutError:
        pass
    return tail.lines()
