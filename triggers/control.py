"""What people ask of the triggers of this process, and what it tells them: both over the topic `triggers`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Mapping
from typing import Protocol

from processor.core.clock import Clock
from processor.core.trigger_records import FireClaim, FireRequest, Key, MissingSource, Pause, Report
from processor.registry.trigger_board import TriggerBoard
from processor.transport.abstract import Appender, Record, Transport
from triggers.abstract import Health, MissingSources
from triggers.firing import Fireable, Firing
from triggers.reports import Reporter, append
from triggers.tidy import leftovers

log = logging.getLogger(__name__)

#: How soon a change of a trigger is told.
TICK_SEC = 0.5
TIDY_SEC = 20.0
#: Tombstones of one tidying.
_MAX_BURIED = 200
_END_SEC = 5.0


class Hosted(Fireable, Protocol):
    """The host, as far as control goes."""

    def health_by_id(self) -> Mapping[str, Health]: ...

    def wake(self) -> None:
        """What is paused has changed."""


class TriggerControl(MissingSources):
    """One per process that runs triggers; used on one event loop."""

    def __init__(self, *, transport: Transport, appender: Appender, clock: Clock, name: str) -> None:
        """name: of this host or pod, for people; without a slash."""
        #: name#incarnation, which no other life of a process ever has: claims rest on that.
        self.replica = f"{name.replace('/', '-')}#{secrets.token_hex(4)}"
        self._board = TriggerBoard(transport, clock, on_change=self._note)
        self._reporter = Reporter(appender=appender, clock=clock, replica=self.replica)
        self._appender = appender
        self._clock = clock
        self._host: Hosted | None = None
        self._firing: Firing | None = None
        self._task: asyncio.Task[None] | None = None
        #: Somebody wants a trigger fired, or offers to do it.
        self._called = asyncio.Event()
        self._told_sec = self._tidied_sec = clock.boottime()

    async def start(self, host: Hosted) -> None:
        """Returns once what is paused is known. Raises TransportUnavailable."""
        self._host = host
        await self._board.start()

    def serve(self, host: Hosted) -> None:
        """From now on reports are written and requests to fire are answered."""
        self._firing = Firing(
            host=host, fold=self._board.fold, appender=self._appender, clock=self._clock, replica=self.replica
        )
        self._task = asyncio.create_task(self._serve(host, self._firing), name="trigger-control")

    async def stop(self) -> None:
        """Fires no more, and takes back what it told."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(TimeoutError):  # the log is away: silence will tell
            async with asyncio.timeout(_END_SEC):
                if self._firing is not None:
                    await self._firing.stop()
                    await self._reporter.end()
        await self._board.stop()

    def pause_of(self, trigger: str) -> Pause | None:
        """Who paused it; None when nobody has."""
        return self._board.fold.pauses.get(trigger)

    def was_missing(self, trigger: str) -> bool:
        return trigger in self._board.fold.missing

    async def note_missing(self, trigger: str) -> None:
        missing = MissingSource(trigger=trigger, at_ms=self._clock.unix_ms())
        await append(self._appender, missing.key, missing.encode())

    async def forget_missing(self, trigger: str) -> None:
        await append(self._appender, MissingSource(trigger=trigger, at_ms=0).key, None)

    def _note(self, key: Key, record: Record) -> None:
        if key.kind is Pause and self._host is not None:
            self._host.wake()
        elif key.kind in (FireRequest, FireClaim):
            self._called.set()
        elif key.kind is Report and record.value is None and key.parts[1] == self.replica:
            self._reporter.told.forget((record.key or b"").decode())  # others took us for dead

    async def _serve(self, host: Hosted, firing: Firing) -> None:
        while True:
            self._called.clear()
            try:
                await firing.tick()
                await self._tell_if_due(host)
                await self._tidy_if_due()
            except Exception:  # one bad record or adapter must not make all triggers unanswerable
                log.exception("trigger control goes on after an error", extra={"action": "control_failed"})
                await asyncio.sleep(TICK_SEC)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_SEC):
                    await self._called.wait()

    async def _tell_if_due(self, host: Hosted) -> None:
        now_sec = self._clock.boottime()
        if now_sec - self._told_sec >= TICK_SEC:
            self._told_sec = now_sec
            await self._reporter.tick(host.health_by_id())

    async def _tidy_if_due(self) -> None:
        now_sec = self._clock.boottime()
        if now_sec - self._tidied_sec < TIDY_SEC:
            return
        self._tidied_sec = now_sec
        keys = leftovers(self._board.fold, me=self.replica, now_sec=now_sec, now_ms=self._clock.unix_ms())
        for key in keys[:_MAX_BURIED]:  # one after the other: their order matters
            await append(self._appender, key, None)
