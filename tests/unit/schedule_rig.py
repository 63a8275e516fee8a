"""Processes that fire schedules, all in one: they share a log in memory, and a clock that moves when told to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any

from processor.core.clock import ManualClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.topics import INTAKE, REJECTED, SCHEDULES
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.transport.abstract import (
    Appended,
    Appender,
    Headers,
    Outcome,
    Producer,
    Record,
    Tail,
    TopicPartition,
    TransportUnavailable,
)
from tests.unit.scripted_transport import ScriptedTransport
from triggers.abstract import Binding, Health, TriggerState
from triggers.intake import Intake
from triggers.schedule import ScheduleTrigger, ScheduleTriggers

#: 2023-11-14T22:00:00Z
START = 1_699_999_200
LIMIT_SEC = 20.0


class SteppedClock(ManualClock):
    """Its wall clock moves when told to, also back; the other one goes on besides, for what waits a moment."""

    def __init__(self) -> None:
        super().__init__(unix_ms=START * 1000)
        self.set_by_sec = 0.0

    def boottime(self) -> float:
        return super().boottime() + time.monotonic()

    def unix_ms(self) -> int:
        return super().unix_ms() + int(self.set_by_sec * 1000)


class Log(ScriptedTransport):
    """Stamps its records with its own clock, and tells its tails of them."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(**{SCHEDULES.name: 1})
        self._clock = clock
        self.arrived = asyncio.Event()
        #: What the next appends to a topic do; YES when it is empty.
        self.appends: dict[str, deque[Outcome]] = {}
        self.stopped = False
        #: What its tails take to hand out a record.
        self.reading_sec = 0.0

    def put(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> Record:
        log = self.log.setdefault(TopicPartition(topic, partition), [])
        log.append(Record(topic, partition, len(log), 0, self._clock.unix_ms(), key, value, headers))
        self.arrived.set()
        self.arrived = asyncio.Event()
        return log[-1]

    def appender(self) -> Appender:
        return LogAppender(self)

    def tail(self) -> Tail:
        return LogTail(self)

    @property
    def events(self) -> list[Event]:
        found = [decode_structured(each.value or b"") for each in self.records(INTAKE.name)]
        return [each for each in found if isinstance(each, Event)]

    @property
    def times(self) -> list[str]:
        return [(each.time or "")[11:19] for each in self.events]

    def settled(self) -> list[str]:
        return [(each.value or b"").decode() for each in self.records(SCHEDULES.name) if each.key != b"-"]


class LogAppender(Appender):
    def __init__(self, log: Log) -> None:
        self._log = log

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        await asyncio.sleep(0)
        scripted = self._log.appends.get(topic)
        outcome = scripted.popleft() if scripted else Outcome.YES
        if outcome is not Outcome.YES:
            return Appended(outcome=outcome, reason="the broker hiccups")
        record = self._log.put(topic, 0, key, value, headers)
        return Appended(outcome=Outcome.YES, partition=0, offset=record.offset)

    async def stop(self) -> None: ...


class LogTail(Tail):
    def __init__(self, log: Log) -> None:
        self._log = log
        self._position = self._end = 0

    async def start(self, topics: Collection[str], *, from_low: bool) -> None:
        self._fail_if_stopped()
        self._end = len(self._log.records(SCHEDULES.name))

    async def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        self._fail_if_stopped()
        if self._position == len(self._log.records(SCHEDULES.name)):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._log.arrived.wait()
        await asyncio.sleep(self._log.reading_sec)
        records = self._log.records(SCHEDULES.name)[self._position :]
        self._position += len(records)
        return records

    async def at_end(self) -> bool:
        return self._position >= self._end

    async def stop(self) -> None: ...

    def _fail_if_stopped(self) -> None:
        if self._log.stopped:
            raise TransportUnavailable("the broker is away")


class Site:
    """The log, the clock, and the functions `f` of its processes."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.log = Log(self.clock)
        self.functions = {"f": Function(name="f", current=FunctionVersion(version="v", handler="m:f", code_digest="0"))}

    @asynccontextmanager
    async def process(self) -> AsyncIterator[ScheduleTriggers]:
        appender = self.log.appender()
        acceptor = Acceptor(
            functions=self.functions.get,
            appender=appender,
            clock=self.clock,
            intake_partitions=1,
            bulk=BulkAppender(self._producer),
        )
        shared = ScheduleTriggers(
            intake=Intake(acceptor, appender), transport=self.log, appender=appender, clock=self.clock
        )
        shared.start()
        try:
            yield shared
        finally:
            await shared.stop()

    def _producer(self) -> Producer:
        return self.log.producer()

    @asynccontextmanager
    async def schedule(self, **settings: Any) -> AsyncIterator[ScheduleTrigger]:
        """One in a process of its own."""
        async with self.process() as shared, self.running(shared, **settings) as trigger:
            yield trigger

    @asynccontextmanager
    async def running(self, shared: ScheduleTriggers, **settings: Any) -> AsyncIterator[ScheduleTrigger]:
        filled = {"cron": "*/10 * * * *", "event_format": "data", **settings}
        trigger = shared.make(Binding(function="f", creation=1, kind="schedule", settings=filled))
        assert isinstance(trigger, ScheduleTrigger)
        task = asyncio.create_task(trigger.run())
        try:
            await until(lambda: task.done() or trigger.health.state is not TriggerState.STARTING)
            yield trigger
            assert not task.done(), "the schedule ended by itself"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def rejected(self) -> list[Record]:
        return self.log.records(REJECTED.name)


async def until(reached: Callable[[], bool]) -> None:
    """For what tells nobody that it has happened."""
    async with asyncio.timeout(LIMIT_SEC):
        while True:
            if reached():
                return
            await asyncio.sleep(0.002)


async def settle() -> None:
    """Time for whatever would happen, if it did: everything here takes some turns of the loop and no time."""
    for _ in range(10):
        await asyncio.sleep(0.01)


def waits_for(health: Health, text: str) -> bool:
    return health.state is TriggerState.WAITING and text in health.reason and bool(health.remedy)
