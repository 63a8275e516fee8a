from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Protocol


class Bell(Protocol):
    """Wakes one waiting reader. Whoever waits clears it, then looks for work, then waits: no ring is lost."""

    def ring(self) -> None:
        """From any thread; never blocks."""


class ThreadBell:
    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        if not self._rung.is_set():
            self._rung.set()

    def clear(self) -> None:
        self._rung.clear()

    def wait(self, timeout_sec: float) -> bool:
        return self._rung.wait(timeout_sec)


class LoopBell:
    """For a task of the running event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._called = False

    def ring(self) -> None:
        # Waking a loop is a system call: one until it has looked is enough.
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._rung.set)

    def clear(self) -> None:
        self._called = False
        self._rung.clear()

    async def wait(self, timeout_sec: float) -> bool:
        try:
            async with asyncio.timeout(timeout_sec):
                await self._rung.wait()
        except TimeoutError:
            return False
        return True
