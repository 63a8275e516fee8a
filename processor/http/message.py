"""What the handlers need of ASGI: a request that is read within limits, and an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from processor.core.errors import HeadraceError
from processor.http.problems import Problem, Refused

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = b"application/json"
#: A whole body has to arrive within this time.
BODY_LIMIT_SEC = 30.0
#: A body over the limit is read on, and thrown away, up to here: a client that is still sending would see a broken
#: connection instead of the 413.
_DISCARD_BYTES = 8_388_608
_DISCARD_SEC = 2.0


class ClientGone(HeadraceError):
    """The client is gone: nobody is there to be answered."""


class Request:
    __slots__ = ("_query", "headers", "method", "path", "receive", "scope", "segments")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        # The raw path, because an encoded slash belongs to a name and separates nothing.
        self.path: str = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        self.segments = [unquote(each) if "%" in each else each for each in self.path.split("/")[1:]]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        if self._query is None:
            self._query = dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return self._query

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def body(self, limit_bytes: int) -> bytes:
        """Raises Refused (408, 413) and ClientGone."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit_bytes:
            await self._discard(int(declared))
            raise _too_large(f"the body has {int(declared):,} bytes; the limit is {limit_bytes:,}")
        try:
            async with asyncio.timeout(BODY_LIMIT_SEC):
                return await self._read(limit_bytes)
        except TimeoutError:
            raise Refused(_TOO_SLOW) from None

    async def _read(self, limit_bytes: int) -> bytes:
        body, more = await self._part()
        if not more and len(body) <= limit_bytes:
            return body  # nearly always
        parts, size = [body], len(body)
        while more and size <= limit_bytes:
            part, more = await self._part()
            parts.append(part)
            size += len(part)
        if size > limit_bytes:
            if more:
                await self._discard(0)
            raise _too_large(f"the body has more than {limit_bytes:,} bytes, which is the limit")
        return b"".join(parts)

    async def _part(self) -> tuple[bytes, bool]:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)

    async def _discard(self, declared: int) -> None:
        """Reads on for a moment, unless the client waits for leave to send or means to send much more."""
        if declared > _DISCARD_BYTES or b"expect" in self.headers:
            return
        left, more = _DISCARD_BYTES, True
        try:
            async with asyncio.timeout(_DISCARD_SEC):
                while more and left > 0:
                    part, more = await self._part()
                    left -= len(part)
        except TimeoutError:
            return


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: bytes = JSON_TYPE
    headers: Headers | None = None
    #: RequestId of the run that this answer is about.
    run: str | None = None

    async def send(self, send: Send, request_id: str) -> None:
        headers = [
            *([(b"content-type", self.content_type)] if self.body else ()),
            *([(b"content-length", b"%d" % len(self.body))] if self.status != 204 else ()),
            (b"x-request-id", (self.run or request_id).encode()),
            *(self.headers or ()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_response(document: object, *, status: int = 200) -> Response:
    return Response(status=status, body=orjson.dumps(document))


def _too_large(detail: str) -> Refused:
    return Refused(
        Problem(
            status=413,
            name="too-large",
            title="Body too large",
            detail=detail,
            remedy="Keep large payloads in object storage and send their address.",
            close=True,
        )
    )


_TOO_SLOW = Problem(
    status=408,
    name="body-too-slow",
    title="Body did not arrive",
    detail=f"the body did not arrive within {BODY_LIMIT_SEC:g} seconds",
    remedy="Send the request again.",
    close=True,
)
