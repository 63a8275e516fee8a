"""The HTTP API for callers within its own process: pages of the console, and the APIs of other platforms. They ask as
anybody else does, so that what they show is what the API says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


class Answer(NamedTuple):
    status: int
    #: The JSON of the answer; a problem document when `ok` is False. None: it had no body.
    document: Any
    body: bytes
    headers: Mapping[bytes, bytes]

    @property
    def ok(self) -> bool:
        return self.status < 400


def address(*segments: str, **query: object) -> str:
    """A path below the root, without a leading slash: `address("v1", "runs", since="1h")`. None and "" are left out."""
    path = "/".join(quote(each, safe="") for each in segments)
    asked = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(asked)}" if asked else path


class Api:
    """Calls an ASGI application; blocks for as long as that takes. What it raises are mistakes, not answers."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def get(self, where: str) -> Answer:
        return await self.call("GET", where)

    async def call(self, method: str, where: str, body: object = None, **headers: str) -> Answer:
        """where: as `address` makes it. body: bytes as they are, anything else as JSON unless it is None. headers: with
        `_` for `-`.
        """
        parts: list[bytes] = []
        status, headers_of = await self._exchange(method, where, body, headers, parts.append)
        return _answer(status, headers_of, b"".join(parts))

    async def read(self, method: str, where: str, take: Callable[[bytes], None]) -> int:
        """For answers of any length: `take` gets each piece as it comes. Returns the status."""
        status, _ = await self._exchange(method, where, None, {}, take)
        return status

    async def _exchange(
        self, method: str, where: str, body: object, headers: Mapping[str, str], take: Callable[[bytes], None]
    ) -> tuple[int, Mapping[bytes, bytes]]:
        path, _, query = where.partition("?")
        sent = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        exchange = _Exchange(sent, take)
        await self._application(_scope(method, path, query, sent, headers), exchange.receive, exchange.send)
        return exchange.status, exchange.headers


class _Exchange:
    def __init__(self, body: bytes, take: Callable[[bytes], None]) -> None:
        self._unread: list[bytes] = [body]
        self._take = take
        self.status = 500
        self.headers: dict[bytes, bytes] = {}

    async def receive(self) -> dict[str, Any]:
        if self._unread:
            return {"type": "http.request", "body": self._unread.pop(), "more_body": False}
        await asyncio.Event().wait()  # whoever stops waiting for the answer cancels the call
        raise AssertionError

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message.get("headers", ()))
        elif body := message.get("body", b""):
            self._take(body)


def _answer(status: int, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
    kind = headers.get(b"content-type", b"").partition(b";")[0]
    is_json = kind == b"application/json" or kind.endswith(b"+json")
    return Answer(status, orjson.loads(body) if body and is_json else None, body, headers)


def _scope(method: str, path: str, query: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": f"/{path}",
        "raw_path": f"/{path}".encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()),
        ],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
