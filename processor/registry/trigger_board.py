from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from processor.core.clock import Clock
from processor.core.errors import HeadraceError, Undecodable
from processor.core.topics import TRIGGERS
from processor.core.trigger_fold import TriggerFold
from processor.core.trigger_records import Key
from processor.transport.abstract import Record, Tail, Transport, TransportUnavailable

log = logging.getLogger(__name__)

_POLL_RECORDS = 1_000
_POLL_SEC = 0.5
_RETRY_SEC = 1.0
_START_SEC = 30.0


class TriggerBoard:
    """The topic `triggers` as of a moment ago, fed by a tail. One per process that needs it; used on one event loop.

    While the log is away, what was known goes on to hold: a paused trigger stays paused.
    """

    def __init__(
        self, transport: Transport, clock: Clock, *, on_change: Callable[[Key, Record], None] | None = None
    ) -> None:
        """on_change: told about every record that changed something, after `fold` has it."""
        self.fold = TriggerFold()
        self._transport = transport
        self._clock = clock
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        #: Set, and replaced by a new one, at each change: any number can wait.
        self._changed = asyncio.Event()
        #: Everything that was on the topic at the start has been read.
        self.caught_up = asyncio.Event()

    async def start(self) -> None:
        """Returns once everything that was there has been read. Raises TransportUnavailable when that takes longer
        than 30 s.
        """
        self.begin()
        try:
            async with asyncio.timeout(_START_SEC):
                await self.caught_up.wait()
        except TimeoutError:
            await self.stop()
            raise TransportUnavailable(f"the topic {TRIGGERS.name!r} was not read within {_START_SEC:g} s") from None

    def begin(self) -> None:
        """Returns at once; `caught_up` tells when it is read."""
        self._task = asyncio.create_task(self._run(), name="trigger-board")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def changed(self, timeout_sec: float) -> None:
        """Returns at the next change, or after timeout_sec."""
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                await changed.wait()

    async def passed(self, offset: int, timeout_sec: float) -> bool:
        """True once `fold` has the record at that offset, False after timeout_sec."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_sec):
                while self.fold.next_offset <= offset:
                    await self._changed.wait()
        return self.fold.next_offset > offset

    async def _run(self) -> None:
        while True:
            tail = self._transport.tail()
            try:
                await self._read(tail)
            except HeadraceError as error:
                log.warning("the triggers' topic is read anew: %s", error, extra={"action": "triggers_retry"})
                await asyncio.sleep(_RETRY_SEC)
            finally:
                await tail.stop()

    async def _read(self, tail: Tail) -> None:
        await tail.start([TRIGGERS.name], from_low=True)
        while True:
            if not self.caught_up.is_set() and await tail.at_end():
                self.caught_up.set()  # before the first poll, which waits on an empty topic
            for record in await tail.poll(_POLL_RECORDS, _POLL_SEC):
                self._take(record)

    def _take(self, record: Record) -> None:
        try:
            key = self.fold.apply(
                record.key,
                record.value,
                offset=record.offset,
                log_ms=record.timestamp_ms,
                now_sec=self._clock.boottime(),
            )
        except Undecodable as error:
            log.warning("skipped: %s", error, extra={"action": "trigger_record_unreadable"})
            key = None
        if key is not None and self._on_change is not None:
            self._on_change(key, record)
        self._changed.set()
        self._changed = asyncio.Event()
