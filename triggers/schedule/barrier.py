from __future__ import annotations

import asyncio
import contextlib
import secrets

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.topics import SCHEDULES
from processor.transport.abstract import Appender, Outcome, Record
from triggers.schedule.record import BARRIER_KEY

RETRY_SEC = 0.5
#: A record of ours that has not come back by then is written again: the reader may have begun anew behind it.
ECHO_SEC = 15.0


class NotReadBack(HeadraceError):
    """The end of `schedules` could not be read."""

    remedy = "Schedules that are late wait for it; look at the broker (or the disk): `headrace doctor`."


class Barriers:
    """Tells whether everything that stood on `schedules` at some moment has been read: a record written after that
    moment has come back. It also compares the clocks, as the log stamps what it takes.
    """

    def __init__(self, appender: Appender, clock: Clock) -> None:
        self._appender = appender
        self._clock = clock
        #: The one that has not begun: whoever comes before it does, shares it.
        self._next: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._echoes: dict[bytes, asyncio.Event] = {}
        self._sent_ms: dict[bytes, int] = {}
        self.trouble: HeadraceError | None = None
        self.clock_ahead_sec = 0.0

    async def passed(self) -> None:
        if self._next is None:
            self._next = asyncio.create_task(self._pass(), name="schedules barrier")
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        await asyncio.shield(self._next)

    def take(self, record: Record) -> bool:
        """Whether it is one of these records, ours or another process's."""
        if record.key != BARRIER_KEY:
            return False
        token = record.value or b""
        echo = self._echoes.get(token)
        if echo is not None:
            self._compare(self._sent_ms[token], record.timestamp_ms)
            echo.set()
        return True

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self) -> None:
        await asyncio.sleep(0)  # those who come in the same turn of the loop share it
        self._next = None
        while not await self._echoed(secrets.token_hex(8).encode()):
            pass
        self.trouble = None

    async def _echoed(self, token: bytes) -> bool:
        echo = self._echoes[token] = asyncio.Event()
        self._sent_ms[token] = self._clock.unix_ms()
        try:
            appended = await self._appender.append(SCHEDULES.name, token, key=BARRIER_KEY)
            if appended.outcome is not Outcome.YES:
                self.trouble = NotReadBack(f"the end of schedules could not be read: {appended.reason}")
                await asyncio.sleep(RETRY_SEC)
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ECHO_SEC):
                    await echo.wait()
            if not echo.is_set():
                self.trouble = NotReadBack(f"what was written to schedules did not come back in {ECHO_SEC:g} s")
            return echo.is_set()
        finally:
            del self._echoes[token], self._sent_ms[token]

    def _compare(self, sent_ms: int, logged_ms: int) -> None:
        """The log took it between the sending and now; outside of that the clocks differ."""
        now_ms = self._clock.unix_ms()
        ahead_ms = sent_ms - logged_ms if logged_ms < sent_ms else min(now_ms - logged_ms, 0)
        self.clock_ahead_sec = ahead_ms / 1000
