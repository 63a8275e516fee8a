"""`GET /v1/runs/{id}/logs?follow=1`: a run's lines as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import orjson

from processor.gateway.feed import LineFeed
from processor.gateway.live import Follower
from processor.gateway.platform_lines import PlatformLines
from processor.http.message import ClientGone, Request, Send
from processor.recorder.store import LogLine, timestamp

PING_SEC = 15.0
#: A client that takes nothing for this long is stopped or gone.
SEND_LIMIT_SEC = 30.0
PING = b": ping\n\n"
EVENT_STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
    (b"connection", b"close"),
]


async def send_events(
    request: Request, send: Send, feed: LineFeed, follower: Follower, platform: PlatformLines | None = None
) -> None:
    """Sends until the run has ended, the client has gone or is too slow, or the gateway stops.

    platform: what is said beside the run's own lines.
    """
    watch = asyncio.create_task(_watch_client(request, follower), name="gateway-follower")
    try:
        headers = [*EVENT_STREAM, (b"x-request-id", follower.request_id.encode())]
        await send_limited(send, {"type": "http.response.start", "status": 200, "headers": headers})
        if request.method != "HEAD":
            async for frame in _frames(feed, follower, platform):
                await send_limited(send, {"type": "http.response.body", "body": frame, "more_body": True})
        await send_limited(send, {"type": "http.response.body", "body": b""})
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch


async def _frames(feed: LineFeed, follower: Follower, platform: PlatformLines | None) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    while True:
        lines = await feed.next(PING_SEC)
        if platform is not None:
            lines = [*platform.first(feed.started_ms, lines), *lines]
        progress = feed.take_progress()
        if lines or progress:
            yield _line_events(lines) + (event_frame("progress", progress) if progress else b"")
        elif follower.overflowed:
            yield _cut("this client reads more slowly than the run writes", feed.last_seq)
            return
        elif feed.complete:
            run = await feed.document()
            last = platform.last(run) if platform is not None and run is not None else []
            yield _line_events(last) + event_frame("end", run)
            return
        elif follower.closing:
            yield _cut("the gateway stops", feed.last_seq)
            return
        else:
            yield PING


def _line_events(lines: Iterable[LogLine]) -> bytes:
    return b"".join(
        b"event: line\nid: %d\ndata: %s\n\n" % (line.seq, orjson.dumps(line_document(line))) for line in lines
    )


def line_document(line: LogLine) -> dict[str, object]:
    return {
        "seq": line.seq,
        "stream": line.stream,
        "level": line.level,
        "time": timestamp(line.unix_ms),
        "text": line.text,
    }


def _cut(reason: str, last_seq: int) -> bytes:
    remedy = f"Nothing is lost: connect again with Last-Event-ID: {last_seq}."
    return event_frame("cut", {"reason": reason, "last_event_id": last_seq, "remedy": remedy})


def event_frame(name: str, data: object, event_id: str | None = None) -> bytes:
    told = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), told, orjson.dumps(data))


async def send_limited(send: Send, message: dict[str, object]) -> None:
    """Raises ClientGone when the client takes nothing for SEND_LIMIT_SEC."""
    try:
        async with asyncio.timeout(SEND_LIMIT_SEC):
            await send(message)
    except TimeoutError:
        raise ClientGone(f"the client took nothing for {SEND_LIMIT_SEC:g} seconds") from None


async def _watch_client(request: Request, follower: Follower) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    follower.close()
