from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import orjson

from processor.core.run import Status
from processor.core.topics import RUNS
from processor.gateway.history import AsyncHistory
from processor.gateway.live import READY_LIMIT_SEC, Follower, LiveHub
from processor.gateway.recent import RecentRuns
from processor.gateway.told import ToldEnds
from processor.recorder.store import (
    HistoryUnavailable,
    RunDocument,
    RunPage,
    RunQuery,
    apply_verdict,
    is_ended,
)

#: The recorder may be this far behind before a RequestId that nobody has seen counts as unknown.
GRACE_SEC = 2.0
_GRACE_POLL_SEC = 0.05
#: How often a waiting caller's run is looked up although nothing has arrived live.
_REFRESH_SEC = 1.0
_REFRESH_LIMIT_SEC = 10.0


class Runs:
    """What is known of a run: from the history, from what this gateway has just accepted, and live."""

    def __init__(
        self, *, history: AsyncHistory, recent: RecentRuns, hub: LiveHub, why_waits: Callable[[str], str | None]
    ) -> None:
        """why_waits: why events of a function that are queued now are not started."""
        self._history = history
        self._recent = recent
        self._hub = hub
        self._why_waits = why_waits
        self._told = ToldEnds()

    async def find(self, request_id: str) -> RunDocument | None:
        """Raises HistoryUnavailable, unless this gateway itself accepted the run a moment ago."""
        document = recent = self._recent.document(request_id)
        try:
            document = await self._history.get_run(request_id) or recent
        except HistoryUnavailable:
            if recent is None:
                raise
        if document is not None and not is_ended(document):
            document = self._told.over(document)
            self.explain(document)
        return document

    async def page(self, query: RunQuery) -> RunPage:
        """Raises BadCursor, HistoryUnavailable."""
        page = await self._history.list_runs(query)
        for each in page.runs:
            self.explain(each)
        return page

    def explain(self, document: RunDocument) -> None:
        """Fills in what no history knows: why it waits."""
        if is_queued(document):
            document["wait_reason"] = self._why_waits(document["function"])

    async def place(self, document: RunDocument) -> None:
        """Fills in which one of its function's queued runs it is; 1 = the next. None: it is not known, or far back."""
        if is_queued(document):
            try:
                document["position"] = await self._history.position(document["request_id"])
            except HistoryUnavailable:
                document["position"] = None

    async def find_soon(self, request_id: str, grace_sec: float = GRACE_SEC) -> RunDocument | None:
        """The same for a caller who may be ahead of the recorder."""
        now_sec = asyncio.get_running_loop().time
        deadline_sec = now_sec() + grace_sec
        while True:
            document = await self.find(request_id)
            if document is not None or now_sec() >= deadline_sec:
                return document
            await asyncio.sleep(_GRACE_POLL_SEC)

    async def wait_for_end(self, request_id: str, wait_sec: float) -> RunDocument | None:
        """The document once the run has ended, or as it is after wait_sec; None when there is no such run.
        Raises HistoryUnavailable, Refused.
        """
        async with self.listening(request_id, min(wait_sec, READY_LIMIT_SEC)) as follower:
            return await self.end_of(follower, wait_sec)

    @contextlib.asynccontextmanager
    async def listening(self, request_id: str, ready_sec: float = READY_LIMIT_SEC) -> AsyncIterator[Follower]:
        """Who listens before the run is accepted misses nothing. Raises Refused (503)."""
        with self._hub.follow(request_id, with_lines=False) as follower:
            await self._hub.ready(ready_sec)
            yield follower

    async def end_of(self, follower: Follower, wait_sec: float) -> RunDocument | None:
        """As wait_for_end; returns early when the follower is closed."""
        now_sec = asyncio.get_running_loop().time
        began_sec = now_sec()
        document = await self.find_soon(follower.request_id, min(wait_sec, GRACE_SEC))
        while document is not None and not is_ended(document) and not follower.closing:
            if _take_verdict(follower, document):
                self._told.add(document)
                break
            passed_sec = now_sec() - began_sec
            if passed_sec >= wait_sec:
                break
            # The longer it takes, the less a look that is late matters.
            refresh_sec = min(_REFRESH_SEC + passed_sec / 10, _REFRESH_LIMIT_SEC)
            if not await follower.wait(min(wait_sec - passed_sec, refresh_sec)):
                document = await self._again(document)
        return document

    async def _again(self, document: RunDocument) -> RunDocument | None:
        """While the history is away the verdict may still come live."""
        try:
            return await self.find(document["request_id"])
        except HistoryUnavailable:
            return document


def is_queued(document: RunDocument) -> bool:
    return bool(document["status"] == Status.QUEUED.value)


def _take_verdict(follower: Follower, document: RunDocument) -> bool:
    while (record := follower.take()) is not None:
        if record.topic == RUNS.name:
            ended = orjson.loads(record.value or b"{}")
            if ended.get("type") == "ended":
                apply_verdict(document, ended)
                return True
    return False
