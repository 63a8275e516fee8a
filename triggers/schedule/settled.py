"""Up to which time each schedule is settled: fired, or left out on purpose. It stands on the topic `schedules`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from processor.core.clock import Clock
from processor.core.errors import HeadraceError, Undecodable
from processor.core.failpoints import failpoint
from processor.core.topics import SCHEDULES
from processor.transport.abstract import Appended, Appender, Outcome, Record, Transport
from triggers.schedule.barrier import Barriers
from triggers.schedule.catch_up import AHEAD_SEC
from triggers.schedule.record import decode_settled, encode_settled

log = logging.getLogger(__name__)

#: One schedule is written down at most this often, by all processes together. Far less than AHEAD_SEC.
WRITE_GAP_SEC = 5.0
RETRY_SEC = 0.5
POLL_SEC = 1.0
POLL_RECORDS = 5_000
#: How often the log is asked for its end, and for its clock, without anybody waiting for it.
CHECK_SEC = 60.0
STOP_SEC = 3.0


class NotWritten(HeadraceError):
    """What was fired could not be written down on `schedules`."""

    remedy = "Schedules wait for it; look at the broker (or the disk): `headrace doctor`."


@dataclass(slots=True)
class _Progress:
    """Of one schedule. The times are Unix seconds."""

    noted_sec: int
    #: What stands on the topic.
    written_sec: int | None = None
    #: When it was last written, by whomever; on the clock that never jumps.
    written_at: float = float("-inf")
    #: Somebody waits for it.
    urgent: bool = False

    @property
    def is_written(self) -> bool:
        return self.written_sec is not None and self.written_sec >= self.noted_sec

    def due_at(self) -> float:
        return float("-inf") if self.urgent or self.written_sec is None else self.written_at + WRITE_GAP_SEC


class SettledTimes:
    """One per process that fires schedules; used on one event loop.

    What other processes write is followed, so that no time is fired that they are known to have fired.
    """

    def __init__(self, *, transport: Transport, appender: Appender, clock: Clock) -> None:
        self._transport = transport
        self._appender = appender
        self._clock = clock
        self._barriers = Barriers(appender, clock)
        self._progress: dict[str, _Progress] = {}
        #: Those with something to write.
        self._dirty: dict[str, _Progress] = {}
        self._ready = asyncio.Event()
        self._to_write = asyncio.Event()
        #: Set, and replaced, each time something has been written.
        self._wrote = asyncio.Event()
        #: Of writing, and of reading.
        self._unwritten: HeadraceError | None = None
        self._unread: HeadraceError | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Returns at once; `ready` waits until the topic has been read."""
        for name, loop in (("follow", self._follow()), ("write", self._write()), ("check", self._check())):
            self._tasks.append(asyncio.create_task(loop, name=f"schedules {name}"))

    async def stop(self) -> None:
        """Writes down what is not yet written, for a few seconds at most: a clean stop leaves no doubt."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SEC):
                await asyncio.gather(*(self.written(each) for each in list(self._dirty)))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._barriers.stop()
        self._tasks.clear()

    @property
    def trouble(self) -> HeadraceError | None:
        return self._unwritten or self._unread or self._barriers.trouble

    @property
    def clock_ahead_sec(self) -> float:
        """By how much this machine's clock was ahead of the log's when it was last looked at; negative: behind."""
        return self._barriers.clock_ahead_sec

    async def ready(self) -> None:
        """Returns once all that stood on the topic at the start has been read."""
        await self._ready.wait()

    async def refresh(self) -> None:
        """Returns once all that stands on the topic by now has been read; tries until it has."""
        await self._barriers.passed()

    def of(self, schedule_id: str) -> int | None:
        """Up to which time it is settled, Unix seconds; None: never heard of."""
        progress = self._progress.get(schedule_id)
        return None if progress is None else progress.noted_sec

    def note(self, schedule_id: str, time_sec: int) -> None:
        """All its times up to this one are settled. It is written down soon."""
        progress = self._progress.setdefault(schedule_id, _Progress(noted_sec=time_sec))
        progress.noted_sec = max(progress.noted_sec, time_sec)
        if progress.is_written:
            return
        self._dirty[schedule_id] = progress
        if progress.due_at() <= self._clock.boottime():
            self._to_write.set()

    async def written(self, schedule_id: str) -> None:
        """Returns once what was noted stands on the topic."""
        while (progress := self._dirty.get(schedule_id)) is not None:
            progress.urgent = True
            self._to_write.set()
            await self._wrote.wait()

    async def room_for(self, schedule_id: str, time_sec: int) -> None:
        """Returns once firing this time keeps the promise of AHEAD_SEC."""
        progress = self._progress[schedule_id]
        if progress.written_sec is None or time_sec > progress.written_sec + AHEAD_SEC:
            await self.written(schedule_id)

    async def _follow(self) -> None:
        while True:
            try:
                await self._read()
            except HeadraceError as error:  # the log is away: what is known goes on
                self._unread = error
                log.warning("schedules are not followed: %s", error, extra={"action": "schedules_retry"})
            await asyncio.sleep(RETRY_SEC)

    async def _read(self) -> None:
        tail = self._transport.tail()
        try:
            await tail.start([SCHEDULES.name], from_low=True)
            while True:
                for record in await tail.poll(POLL_RECORDS, POLL_SEC):
                    self._take(record)
                self._unread = None
                if not self._ready.is_set() and await tail.at_end():
                    self._ready.set()
        finally:
            await tail.stop()

    def _take(self, record: Record) -> None:
        if record.key is None or record.value is None or self._barriers.take(record):
            return
        try:
            self._take_settled(record.key.decode(), decode_settled(record.value))
        except (Undecodable, UnicodeDecodeError) as error:
            log.warning("a record of schedules is left out: %s", error, extra={"action": "schedules_undecodable"})

    def _take_settled(self, schedule_id: str, time_sec: int) -> None:
        progress = self._progress.setdefault(schedule_id, _Progress(noted_sec=time_sec))
        progress.noted_sec = max(progress.noted_sec, time_sec)
        self._is_written(schedule_id, progress, time_sec)

    def _is_written(self, schedule_id: str, progress: _Progress, time_sec: int) -> None:
        if progress.written_sec is None or time_sec > progress.written_sec:
            progress.written_sec = time_sec
            progress.written_at = self._clock.boottime()
        if progress.is_written:
            progress.urgent = False
            self._dirty.pop(schedule_id, None)
            self._tell()

    def _tell(self) -> None:
        self._wrote.set()
        self._wrote = asyncio.Event()

    async def _write(self) -> None:
        while True:
            await self._until_due()
            now = self._clock.boottime()
            due = [(each, progress) for each, progress in self._dirty.items() if progress.due_at() <= now]
            outcomes = await asyncio.gather(*(self._write_one(each, progress) for each, progress in due))
            if not all(outcomes):
                await asyncio.sleep(RETRY_SEC)

    async def _until_due(self) -> None:
        soonest = min((each.due_at() for each in self._dirty.values()), default=float("inf"))
        wait_sec = min(max(soonest - self._clock.boottime(), 0.0), WRITE_GAP_SEC)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_sec):
                await self._to_write.wait()
        self._to_write.clear()

    async def _write_one(self, schedule_id: str, progress: _Progress) -> bool:
        time_sec = progress.noted_sec
        failpoint("schedule.settled.before")
        appended = await self._append(schedule_id, encode_settled(time_sec))
        failpoint("schedule.settled.after")
        if appended.outcome is Outcome.YES:
            self._unwritten = None
            self._is_written(schedule_id, progress, time_sec)
            return True
        self._unwritten = NotWritten(f"{schedule_id} could not be written down: {appended.reason}")
        return False

    def _append(self, schedule_id: str, value: bytes) -> Coroutine[Any, Any, Appended]:
        return self._appender.append(SCHEDULES.name, value, key=schedule_id.encode())

    async def _check(self) -> None:
        await self._ready.wait()
        while True:
            await self.refresh()
            await asyncio.sleep(CHECK_SEC)
