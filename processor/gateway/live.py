"""The live path: one tail of `runs` and `logs` for everybody who watches a run right now.

It reads from the present end, and only while somebody watches: a busy installation writes thousands of records per
second, and reading them all for nobody would cost as much as accepting them. What came before is the history's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from processor.core.errors import HeadraceError, Undecodable
from processor.core.progress import decode_progress, is_progress
from processor.core.topics import LOGS, RUNS
from processor.http.problems import Problem, Refused, unavailable
from processor.recorder.document import apply_started
from processor.recorder.store import apply_verdict, progress_document, queued_document
from processor.transport.abstract import Record, Tail, Transport

log = logging.getLogger(__name__)

MAX_FOLLOWERS = 500
#: Callers that wait for the end of a run cost next to nothing: no lines are kept for them.
MAX_WAITERS = 5_000
#: Each gets every change of every run.
MAX_WATCHERS = 200
#: What may wait for one follower; more means that it reads too slowly, and the history has it all anyway.
QUEUE_BYTES = 4_194_304
#: How long the tail reads on after the last follower has gone.
IDLE_SEC = 30.0
#: How long a new follower waits for the tail; without it the history is asked every second.
READY_LIMIT_SEC = 3.0
_RETRY_SEC = 1.0
_POLL_RECORDS = 1_000
_POLL_SEC = 0.5


class Follower:
    """What has arrived for one watcher of one run."""

    __slots__ = ("_bytes", "_event", "closing", "overflowed", "records", "request_id", "with_lines")

    def __init__(self, request_id: str, *, with_lines: bool) -> None:
        self.request_id = request_id
        self.with_lines = with_lines
        self.records: deque[Record] = deque()
        #: Records were thrown away; only the history can tell what was in them.
        self.overflowed = False
        #: The gateway stops.
        self.closing = False
        self._bytes = 0
        self._event = asyncio.Event()

    def offer(self, record: Record) -> None:
        if not self.with_lines and record.topic == LOGS.name:
            return
        self._bytes += len(record.value or b"")
        if self._bytes > QUEUE_BYTES:
            self.overflowed = True
            self.records.clear()
        else:
            self.records.append(record)
        self._event.set()

    def take(self) -> Record | None:
        if not self.records:
            return None
        record = self.records.popleft()
        self._bytes -= len(record.value or b"")
        return record

    def close(self) -> None:
        self.closing = True
        self._event.set()

    async def wait(self, timeout_sec: float) -> bool:
        """True when something has arrived since the last wait, False after timeout_sec."""
        try:
            async with asyncio.timeout(timeout_sec):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class RunWatcher:
    """What has changed for one watcher of all runs, or of those of a function."""

    def __init__(self, function: str | None) -> None:
        self.function = function
        #: The gateway stops, or the client has gone.
        self.closing = False
        #: The next offset of each partition of the ledger, after what `next` has returned.
        self.places: dict[int, int] = {}
        self._changed: dict[str, dict[str, Any]] = {}
        self._seen: dict[int, int] = {}
        self._event = asyncio.Event()

    def offer(self, record: Record, change: Mapping[str, Any] | None) -> None:
        if record.topic == RUNS.name:
            self._seen[record.partition] = record.offset + 1
        if change is None or self.function not in (None, change["function"]):
            return
        self._changed.setdefault(change["request_id"], {}).update(change)
        self._event.set()

    def close(self) -> None:
        self.closing = True
        self._event.set()

    async def next(self, timeout_sec: float, gather_sec: float) -> dict[str, dict[str, Any]]:
        """By RequestId: the members of the run documents that have changed, gathered for a moment; {} after timeout_sec
        and when it closes.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                await self._event.wait()
        if self._changed and not self.closing:
            await asyncio.sleep(gather_sec)
        self._event.clear()
        changed, self._changed = self._changed, {}
        self.places = dict(self._seen)
        return changed


def change_of(record: Record) -> dict[str, Any] | None:
    """The members of a run document that a record of the ledger, or of progress, changes; None: it is none that is
    understood.
    """
    try:
        if is_progress(record.value):
            said = decode_progress(record.value or b"")
            progress = progress_document(said.fraction, said.message, said.at_ms)
            return {"request_id": said.request_id, "function": said.function, "progress": progress}
        ledger: dict[str, Any] = orjson.loads(record.value or b"")
        change = {"request_id": ledger["request_id"], "function": ledger["function"]}
        match ledger["type"]:
            case "accepted":
                return queued_document(**change, **{name: ledger[name] for name in _ACCEPTED})
            case "started":
                apply_started(change, ledger)
            case "ended":
                change |= {"executor": None, "started_at": None}
                apply_verdict(change, ledger)
                change = {name: value for name, value in change.items() if value is not None and name != "result"}
        return change
    except (ValueError, KeyError, TypeError, Undecodable):  # the recorder counts it
        return None


_ACCEPTED = ("version", "trigger", "source", "subject", "accepted_at_ms")


class LiveHub:
    """One per gateway, used on its event loop."""

    def __init__(self, transport: Transport, *, max_followers: int = MAX_FOLLOWERS, idle_sec: float = IDLE_SEC) -> None:
        self._transport = transport
        #: By `with_lines`.
        self._limits = {True: max_followers, False: MAX_WAITERS}
        self._counts = {True: 0, False: 0}
        self._idle_sec = idle_sec
        self._followers: dict[bytes, list[Follower]] = {}
        self._watchers: list[RunWatcher] = []
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closing = False

    @contextlib.contextmanager
    def follow(self, request_id: str, *, with_lines: bool) -> Iterator[Follower]:
        """Raises Refused (503) when there are too many of the kind, or the gateway stops."""
        if self._closing:
            raise Refused(_CLOSING)
        if self._counts[with_lines] >= self._limits[with_lines]:
            raise Refused(_full(self._limits[with_lines]))
        follower = Follower(request_id, with_lines=with_lines)
        watching = self._followers.setdefault(request_id.encode(), [])
        watching.append(follower)
        self._counts[with_lines] += 1
        self._ensure_running()
        try:
            yield follower
        finally:
            self._counts[with_lines] -= 1
            watching.remove(follower)
            if not watching:
                del self._followers[request_id.encode()]

    @contextlib.contextmanager
    def watch(self, function: str | None) -> Iterator[RunWatcher]:
        """All runs, or those of a function. Raises Refused (503), as `follow`."""
        if self._closing:
            raise Refused(_CLOSING)
        if len(self._watchers) >= MAX_WATCHERS:
            raise Refused(_full(MAX_WATCHERS))
        watcher = RunWatcher(function)
        self._watchers.append(watcher)
        self._ensure_running()
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)

    @property
    def count(self) -> int:
        """Who watches right now."""
        return sum(self._counts.values()) + len(self._watchers)

    async def ready(self, timeout_sec: float = READY_LIMIT_SEC) -> bool:
        """Waits a moment until everything appended from now on will be offered to the followers."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                await self._ready.wait()
        return self._ready.is_set()

    def close_followers(self) -> None:
        """Tells every follower that the gateway stops; they say good-bye to their clients themselves."""
        self._closing = True
        for watching in self._followers.values():
            for follower in watching:
                follower.close()
        for watcher in self._watchers:
            watcher.close()

    async def stop(self) -> None:
        self.close_followers()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _ensure_running(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="gateway-live")

    async def _run(self) -> None:
        while True:
            try:
                if await self._tail():
                    return
            except HeadraceError as error:
                log.warning("the live tail starts anew: %s", error, extra={"action": "live_tail_retry"})
                await asyncio.sleep(_RETRY_SEC)

    async def _tail(self) -> bool:
        """Returns True when nobody has watched for a while."""
        tail = self._transport.tail()
        try:
            await tail.start([RUNS.name, LOGS.name], from_low=False)
            self._ready.set()
            await self._offer_all(tail)
            return True
        finally:
            self._ready.clear()
            await tail.stop()

    async def _offer_all(self, tail: Tail) -> None:
        clock = asyncio.get_running_loop().time
        watched_sec = clock()
        while clock() - watched_sec < self._idle_sec:
            if self._followers or self._watchers:
                watched_sec = clock()
            for record in await tail.poll(_POLL_RECORDS, _POLL_SEC):
                for follower in self._followers.get(record.key or b"", ()):
                    follower.offer(record)
                if self._watchers and (record.topic == RUNS.name or is_progress(record.value)):
                    change = change_of(record)
                    for watcher in self._watchers:
                        watcher.offer(record, change)


_CLOSING = unavailable("draining", "Gateway stops", "this gateway is stopping", remedy="Follow again in a moment.")


def _full(limit: int) -> Problem:
    return unavailable(
        "too-many-followers",
        "Too many followers",
        f"this gateway serves {limit} followers at a time, and has as many",
        remedy="Close a log view, or ask again later.",
    )
