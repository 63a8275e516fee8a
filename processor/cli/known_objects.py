"""Which objects of a bucket have a run: what reconciling asks, answered by the history of this installation."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping

from processor.core.clock import Clock
from processor.core.topics import INTAKE, RUNS
from processor.dispatcher.janitor import DISPATCHERS
from processor.recorder.store import HistoryStore
from processor.transport.abstract import TopicPartition, Transport
from triggers.object_storage.known import HistoryBehind, KnownObjects, ObjectRef

#: For the dispatcher, and again for the recorder, to get to where the log is now.
CATCH_UP_SEC = 20.0
_LOOK_SEC = 0.05
_CALL_SEC = 10.0

Offsets = Mapping[TopicPartition, int]


class KnownFromHistory(KnownObjects):
    def __init__(self, *, store: HistoryStore, transport: Transport, clock: Clock) -> None:
        self._store = store
        self._transport = transport
        self._clock = clock

    async def caught_up(self) -> None:
        """What is on the intake by now has gone through the dispatcher to `runs`, and from there into the history."""
        stopping = threading.Event()
        try:
            await asyncio.to_thread(self._catch_up, stopping)
        finally:
            stopping.set()

    async def known(self, function: str, objects: Collection[ObjectRef]) -> frozenset[ObjectRef]:
        return await asyncio.to_thread(self._known, function, objects)

    def _known(self, function: str, objects: Collection[ObjectRef]) -> frozenset[ObjectRef]:
        found: set[ObjectRef] = set()
        for source in {each.source for each in objects}:
            subjects = [each.subject for each in objects if each.source == source]
            events = self._store.object_events(function, source, subjects)
            found |= {ObjectRef(source, subject, _mark(each)) for subject in events for each in events[subject]}
        return frozenset(objects) & found

    def _catch_up(self, stopping: threading.Event) -> None:
        self._await("the dispatcher", self._ends(INTAKE.name), self._dispatched, stopping)
        self._await("the recorder", self._ends(RUNS.name), lambda _: self._store.recorded(), stopping)

    def _await(
        self,
        who: str,
        ends: Offsets,
        reached: Callable[[Collection[TopicPartition]], Offsets],
        stopping: threading.Event,
    ) -> None:
        until_sec = self._clock.boottime() + CATCH_UP_SEC
        while behind := _behind(ends, reached(ends.keys())):
            if self._clock.boottime() > until_sec:
                raise HistoryBehind(f"{who} is {behind:,} records behind")
            if stopping.wait(_LOOK_SEC):
                return

    def _ends(self, topic: str) -> Offsets:
        """Of the partitions that have records."""
        reader = self._transport.reader()
        try:
            bounds = reader.bounds(reader.partitions(topic, _CALL_SEC), _CALL_SEC)
        finally:
            reader.close()
        return {each: bound.high for each, bound in bounds.items() if bound.high > bound.low}

    def _dispatched(self, partitions: Collection[TopicPartition]) -> Offsets:
        committed = self._transport.admin().committed(DISPATCHERS, partitions, _CALL_SEC)
        return {each: at.offset for each, at in committed.items() if at is not None}


def _behind(ends: Offsets, reached: Offsets) -> int:
    return sum(max(end - reached.get(each, 0), 0) for each, end in ends.items())


def _mark(event_id: str) -> str:
    return event_id.partition("-")[2]
