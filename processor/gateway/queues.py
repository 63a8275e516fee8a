"""How full the queues are: entries that wait, and since when."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.function import Function
from processor.core.run import Status
from processor.core.topics import INTAKE
from processor.gateway.answers import answer
from processor.gateway.catalog import Catalog
from processor.gateway.history import AsyncHistory
from processor.gateway.routes import Route
from processor.gateway.schemas import documents
from processor.recorder.store import HistoryUnavailable, QueuedRuns, RunQuery, timestamp
from processor.transport.abstract import Bounds, TopicPartition, Transport, TransportError

#: The groups whose committed offsets say how far a topic has been taken.
_DISPATCHERS, _EXECUTORS = "dispatcher", "executor"
_CALL_SEC = 5.0
#: How long a removal waits for what was accepted just before, and how often it looks.
_DISPATCH_SEC = 3.0
_LOOK_SEC = 0.05


class Depth(NamedTuple):
    """Of one partition."""

    partition: int
    #: The next entry to be taken; None: none ever was.
    taken: int | None
    bounds: Bounds

    @property
    def lag(self) -> int:
        return max(self.bounds.high - max(self.taken or 0, self.bounds.low), 0)

    def document(self) -> dict[str, Any]:
        return {"partition": self.partition, "lag": self.lag, "taken": self.taken, "end": self.bounds.high}


Depths = Mapping[str, Sequence[Depth]]


class QueueDepths:
    """Asks the log; one look at a time."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._one = asyncio.Lock()

    async def of(self, functions: Collection[Function]) -> Depths:
        """By topic, the intake included; a topic that does not exist is left out. Raises TransportUnavailable."""
        async with self._one:
            return await asyncio.to_thread(self._look, [each.queue_topic for each in functions])

    async def dispatched(self, timeout_sec: float) -> bool:
        """True once everything accepted before the call stands in its queue, False after timeout_sec."""
        loop = asyncio.get_running_loop()
        deadline_sec = loop.time() + timeout_sec
        depths = (await self.of([])).get(INTAKE.name, ())
        ends = {each.partition: each.bounds.high for each in depths}
        while any(each.bounds.high - each.lag < ends[each.partition] for each in depths):
            if loop.time() >= deadline_sec:
                return False
            await asyncio.sleep(_LOOK_SEC)
            depths = (await self.of([])).get(INTAKE.name, ())
        return True

    def _look(self, queues: Sequence[str]) -> Depths:
        counts = self._transport.admin().topics(_CALL_SEC)
        wanted = {
            topic: [TopicPartition(topic, number) for number in range(counts[topic])]
            for topic in (INTAKE.name, *queues)
            if topic in counts
        }
        bounds = self._bounds([each for partitions in wanted.values() for each in partitions])
        taken = self._taken(_DISPATCHERS, wanted.get(INTAKE.name, [])) | self._taken(
            _EXECUTORS, [each for topic, partitions in wanted.items() if topic != INTAKE.name for each in partitions]
        )
        return {
            topic: [Depth(each.partition, taken.get(each), bounds[each]) for each in partitions]
            for topic, partitions in wanted.items()
        }

    def _bounds(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        reader = self._transport.reader()
        try:
            return reader.bounds(partitions, _CALL_SEC)
        finally:
            with contextlib.suppress(TransportError):
                reader.close()

    def _taken(self, group: str, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if not partitions:
            return {}
        committed = self._transport.admin().committed(group, partitions, _CALL_SEC)
        return {each: at.offset for each, at in committed.items() if at is not None}


class Queues:
    """What waits, for the API and for whoever else is in this process."""

    def __init__(
        self, *, catalog: Catalog, depths: QueueDepths, history: AsyncHistory,
        why_waits: Callable[[str], str | None], clock: Clock,
    ) -> None:  # fmt: skip
        self._catalog = catalog
        self._depths = depths
        self._history = history
        self._why_waits = why_waits
        self._clock = clock

    async def document(self) -> dict[str, Any]:
        """Raises TransportUnavailable. Without the history the oldest are not known."""
        functions = self._catalog.functions()
        depths = await self._depths.of(functions)
        oldest = {each.function: each for each in await self._queued()}
        return {
            "queues": [
                self._queue(each, depths.get(each.queue_topic, ()), oldest.get(each.name)) for each in functions
            ],
            "intake_lag": sum(each.lag for each in depths.get(INTAKE.name, ())),
        }

    async def left(self, function: Function) -> int:
        """Of a function that takes no new events: entries that wait and runs that go on; 0: it is drained. What may
        still be on its way into its queue counts as one. Raises TransportUnavailable, HistoryUnavailable.
        """
        undispatched = not await self._depths.dispatched(_DISPATCH_SEC)
        depths = await self._depths.of([function])
        waiting = undispatched + sum(each.lag for each in depths.get(function.queue_topic, ()))
        running = await self._history.list_runs(RunQuery(function=function.name, status=Status.RUNNING, limit=1_000))
        return waiting + len(running.runs)

    async def _queued(self) -> Sequence[QueuedRuns]:
        try:
            return await self._history.queued()
        except HistoryUnavailable:
            return ()

    def _queue(self, function: Function, depths: Sequence[Depth], oldest: QueuedRuns | None) -> dict[str, Any]:
        lag = sum(each.lag for each in depths)
        age_sec = None if oldest is None else max(self._clock.unix_ms() - oldest.oldest_ms, 0) / 1000
        return {
            "function": function.name,
            "queue": function.queue_topic,
            "lag": lag,
            "oldest_at": timestamp(oldest.oldest_ms) if oldest else None,
            "oldest_age_sec": age_sec,
            "wait_reason": self._why_waits(function.name) if lag else None,
            "partitions": [each.document() for each in depths],
        }


class QueueRoutes:
    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/queues",
                endpoint=self.list,
                summary="How full the queues are",
                answers={200: documents.QueueList},
                tag="queues",
            )
        ]

    async def list(self) -> Response:
        return answer(await self._queues.document())
