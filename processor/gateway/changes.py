"""`GET /v1/runs/changes`: runs as they change, as server-sent events, straight from the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from processor.core.clock import Clock
from processor.core.topics import RUNS
from processor.gateway.live import LiveHub, RunWatcher, change_of
from processor.gateway.refusals import parse_query
from processor.gateway.schemas.parameters import ChangesQuery
from processor.gateway.stream import EVENT_STREAM, PING, PING_SEC, event_frame, send_limited
from processor.http.message import Request, Send
from processor.http.problems import bad_request
from processor.transport.abstract import Bounds, Reader, TopicPartition, Transport, TransportError
from processor.transport.replay import read_until

#: What has changed within this time is told together: a page that shows it cannot do more with less.
GATHER_SEC = 0.1
#: More runs than that are a number: whoever shows a list loads it anew.
MAX_TOLD = 200
#: What a follower who comes back has missed is read again, up to so many records.
MAX_MISSED = 20_000
_CALL_SEC = 5.0
_READ_SEC = 5.0
_ID = re.compile(r"[0-9]{1,19}(-[0-9]{1,19}){0,127}")

#: The next offset of each partition of the ledger.
Places = dict[int, int]


class ChangeRoutes:
    def __init__(self, *, transport: Transport, hub: LiveHub, clock: Clock) -> None:
        self._ledger = _Ledger(transport, clock)
        self._hub = hub

    async def get(self, request: Request, send: Send) -> None:
        """Sends its answer itself, until the client has gone or the gateway stops. Raises Refused (400, 503)."""
        query = parse_query(ChangesQuery, request.query)
        last = _places(request.header(b"last-event-id"))
        with self._hub.watch(query.function) as watcher:
            await self._hub.ready()
            bounds = await asyncio.to_thread(self._ledger.bounds)
            leaving = asyncio.create_task(_close_when_gone(request, watcher), name="gateway-watcher")
            try:
                await self._send(request, send, watcher, bounds, last)
            finally:
                leaving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await leaving

    async def _send(
        self, request: Request, send: Send, watcher: RunWatcher, bounds: Mapping[int, Bounds], last: Places | None
    ) -> None:
        await send_limited(send, {"type": "http.response.start", "status": 200, "headers": EVENT_STREAM})
        if request.method != "HEAD":
            async for frame in self._frames(watcher, bounds, last):
                await send_limited(send, {"type": "http.response.body", "body": frame, "more_body": True})
        await send_limited(send, {"type": "http.response.body", "body": b""})

    async def _frames(
        self, watcher: RunWatcher, bounds: Mapping[int, Bounds], last: Places | None
    ) -> AsyncIterator[bytes]:
        places = {partition: bound.high for partition, bound in bounds.items()}
        yield b"retry: 1000\n\n"
        if last is not None and last != places:
            yield await self._missed(watcher, bounds, last)
        yield event_frame("ready", {}, _id(places))
        while True:
            changed = await watcher.next(PING_SEC, GATHER_SEC)
            if watcher.closing:
                return
            places |= {partition: max(next_, places.get(partition, 0)) for partition, next_ in watcher.places.items()}
            yield _told(changed, _id(places)) if changed else PING

    async def _missed(self, watcher: RunWatcher, bounds: Mapping[int, Bounds], last: Places) -> bytes:
        """What changed since; what comes live meanwhile may be told twice."""
        missed = sum(bound.high - last.get(partition, 0) for partition, bound in bounds.items())
        known = last.keys() == bounds.keys() and all(
            bounds[each].low <= last[each] <= bounds[each].high for each in last
        )
        reason = "the ledger has what was missed no more, or it is another one" if not known else "too much was missed"
        if known and missed <= MAX_MISSED:
            try:
                return _told(await asyncio.to_thread(self._ledger.read, last, bounds, watcher.function), None)
            except TransportError as error:
                reason = str(error)
        return event_frame("reset", {"reason": reason})


class _Ledger:
    """Blocks, for seconds at most."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    def bounds(self) -> Mapping[int, Bounds]:
        with self._reader() as reader:
            found = reader.bounds(reader.partitions(RUNS.name, _CALL_SEC), _CALL_SEC)
        return {each.partition: bound for each, bound in found.items()}

    def read(self, start: Places, bounds: Mapping[int, Bounds], function: str | None) -> dict[str, dict[str, Any]]:
        """By RequestId."""
        changed: dict[str, dict[str, Any]] = {}
        with self._reader() as reader:
            reader.assign({TopicPartition(RUNS.name, partition): offset for partition, offset in start.items()})
            ends = {TopicPartition(RUNS.name, partition): bound.high for partition, bound in bounds.items()}
            for record in read_until(reader, ends, self._clock, timeout_sec=_READ_SEC):
                change = change_of(record)
                if change is not None and function in (None, change["function"]):
                    changed.setdefault(change["request_id"], {}).update(change)
        return changed

    @contextlib.contextmanager
    def _reader(self) -> Any:
        reader: Reader = self._transport.reader()
        try:
            yield reader
        finally:
            with contextlib.suppress(TransportError):
                reader.close()


def _told(changed: Mapping[str, dict[str, Any]], event_id: str | None) -> bytes:
    if len(changed) > MAX_TOLD:
        return event_frame("many", {"count": len(changed)}, event_id)
    *most, last = changed.values() if changed else (None,)
    frames = [event_frame("run", each) for each in most]
    # Only the last one bears the id: who comes back in between is told all of them again.
    return b"".join([*frames, event_frame("run", last, event_id)] if last is not None else frames)


def _id(places: Places) -> str:
    return "-".join(str(places[each]) for each in sorted(places))


def _places(text: str | None) -> Places | None:
    """Raises Refused (400)."""
    if not text:
        return None
    if _ID.fullmatch(text) is None:
        errors = [{"header": "Last-Event-ID", "detail": "it is not an id of this stream"}]
        raise bad_request("the Last-Event-ID is not one of this stream", remedy="Leave it out.", errors=errors)
    return {partition: int(offset) for partition, offset in enumerate(text.split("-"))}


async def _close_when_gone(request: Request, watcher: RunWatcher) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    watcher.close()
