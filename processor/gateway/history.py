from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from processor.recorder.store import (
    MAX_PAGE,
    Activity,
    ActivityQuery,
    FoundPage,
    HistoryStore,
    LinePage,
    LineQuery,
    QueuedRuns,
    RunDocument,
    RunPage,
    RunQuery,
)

#: Reads at a time. More would only stand in each other's way on the same disk.
_THREADS = 4
T = TypeVar("T")


class AsyncHistory:
    """The read side of the history for the event loop: every read in a worker thread. Raises what the store raises."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="history")

    async def get_run(self, request_id: str) -> RunDocument | None:
        return await self._in_thread(lambda: self._store.get_run(request_id))

    async def list_runs(self, query: RunQuery) -> RunPage:
        return await self._in_thread(lambda: self._store.list_runs(query))

    async def position(self, request_id: str) -> int | None:
        return await self._in_thread(lambda: self._store.position(request_id))

    async def get_lines(
        self, request_id: str, *, delivery: str | None, after_seq: int, limit: int = MAX_PAGE
    ) -> LinePage:
        return await self._in_thread(
            lambda: self._store.get_lines(request_id, delivery=delivery, after_seq=after_seq, limit=limit)
        )

    async def search_lines(self, query: LineQuery) -> FoundPage:
        return await self._in_thread(lambda: self._store.search_lines(query))

    async def activity(self, query: ActivityQuery) -> list[Activity]:
        return await self._in_thread(lambda: self._store.activity(query))

    async def queued(self) -> list[QueuedRuns]:
        return await self._in_thread(self._store.queued)

    async def counters(self) -> Mapping[str, int]:
        return await self._in_thread(self._store.counters)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _in_thread(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, read)
