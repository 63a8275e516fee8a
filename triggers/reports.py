"""What a process tells of its triggers on the topic `triggers`, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from processor.core.clock import Clock
from processor.core.topics import TRIGGERS
from processor.core.trigger_records import Replica, Report
from processor.transport.abstract import Appender, Outcome
from triggers.abstract import Health

#: One life sign says that everything reported still holds: a thousand idle triggers cost a record every 3 s.
BEAT_SEC = 3.0
#: A report in which only counters differ waits this long after the one before.
COUNTERS_SEC = 2.0
#: Reports of one tick (0.5 s): a thousand triggers that all change take 10 s to tell, at 100/s.
MAX_PER_TICK = 50


def report_of(trigger: str, health: Health, replica: str) -> Report:
    return Report(
        trigger=trigger,
        replica=replica,
        state=health.state.value,
        reason=health.reason,
        remedy=health.remedy,
        accepted=health.accepted,
        rejected=health.rejected,
        last_event_ms=health.last_event_ms,
        lag=health.lag,
        upcoming=health.upcoming,
    )


class Told:
    """What is on the topic of this process, as far as it knows; decides what has to be told now. Pure."""

    def __init__(self) -> None:
        self._told: dict[str, Report] = {}
        self._told_sec: dict[str, float] = {}

    def due(self, reports: Iterable[Report], now_sec: float) -> list[Report]:
        """Changes of state first, then those that have waited longest; at most MAX_PER_TICK."""
        changed = [each for each in reports if self._told.get(each.key) != each]
        states = [each for each in changed if self._differs_in_state(each)]
        waited = [each for each in changed if not self._differs_in_state(each) and self._has_waited(each, now_sec)]
        waited.sort(key=lambda each: self._told_sec[each.key])
        return [*states, *waited][:MAX_PER_TICK]

    def gone(self, reports: Iterable[Report]) -> list[str]:
        """Keys of what was told of triggers that are no more."""
        return sorted(set(self._told) - {each.key for each in reports})

    def note(self, report: Report, now_sec: float) -> None:
        self._told[report.key] = report
        self._told_sec[report.key] = now_sec

    def forget(self, key: str) -> None:
        """Its tombstone is on the topic: told again if it still is."""
        self._told.pop(key, None)
        self._told_sec.pop(key, None)

    def all_keys(self) -> list[str]:
        return sorted(self._told)

    def _differs_in_state(self, report: Report) -> bool:
        told = self._told.get(report.key)
        return told is None or (told.state, told.reason, told.remedy) != (report.state, report.reason, report.remedy)

    def _has_waited(self, report: Report, now_sec: float) -> bool:
        return now_sec - self._told_sec[report.key] >= COUNTERS_SEC


class Reporter:
    """Used on one event loop. An append that fails is tried again at the next tick."""

    def __init__(self, *, appender: Appender, clock: Clock, replica: str) -> None:
        self.told = Told()
        self._appender = appender
        self._clock = clock
        self._replica = replica
        self._beaten_sec: float | None = None

    async def tick(self, health: Mapping[str, Health]) -> None:
        reports = [report_of(trigger, each, self._replica) for trigger, each in health.items()]
        now_sec = self._clock.boottime()
        await self._beat_if_due(now_sec)
        await asyncio.gather(*(self._tell(each, now_sec) for each in self.told.due(reports, now_sec)))
        await self._bury(self.told.gone(reports)[:MAX_PER_TICK])

    async def end(self) -> None:
        """This process is going: nobody should wait for its silence to be noticed."""
        await self._bury(self.told.all_keys())
        await append(self._appender, Replica(replica=self._replica, at_ms=0).key, None)

    async def _beat_if_due(self, now_sec: float) -> None:
        if self._beaten_sec is None or now_sec - self._beaten_sec >= BEAT_SEC:
            beat = Replica(replica=self._replica, at_ms=self._clock.unix_ms())
            if await append(self._appender, beat.key, beat.encode()):
                self._beaten_sec = now_sec

    async def _tell(self, report: Report, now_sec: float) -> None:
        if await append(self._appender, report.key, report.encode()):
            self.told.note(report, now_sec)

    async def _bury(self, keys: Iterable[str]) -> None:
        await asyncio.gather(*(self._bury_one(each) for each in keys))

    async def _bury_one(self, key: str) -> None:
        if await append(self._appender, key, None):
            self.told.forget(key)


async def append(appender: Appender, key: str, value: bytes | None) -> bool:
    """True once it is durable on `triggers`."""
    appended = await appender.append(TRIGGERS.name, value, key=key.encode(), partition=0)
    return appended.outcome is Outcome.YES
