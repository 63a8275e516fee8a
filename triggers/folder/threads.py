"""The calls into the file system of a watched folder, which may be that of a machine that has gone away.

None of them is made on the event loop or on a thread of anybody else, so a folder that hangs holds up its own triggers
only. A thread that hangs in the kernel cannot be ended; there are never more of them than THREADS for a folder, and the
process does not wait for them when it ends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from processor.core.clock import Clock
from processor.core.errors import HeadraceError

T = TypeVar("T")

#: A call that shows no sign of life for so long hangs. A disk that has to spin up takes less.
LIMIT_SEC = 10.0
#: Of one folder. More of them would only make small files faster, and only over a network.
THREADS = 4
#: A thread that has nothing to do ends.
IDLE_SEC = 5.0
#: Every mount of this system; reading it touches none of them.
MOUNTS = Path("/proc/self/mountinfo")


class FolderSilent(HeadraceError):
    """The watched folder does not answer."""

    remedy = (
        "Look at the disk, or at the machine and the network behind the mount; `umount -f`, then `umount -l`, and a "
        "new mount get rid of a server that stays away. It is watched again by itself as soon as it answers."
    )

    def __init__(self, folder: str, for_sec: float) -> None:
        super().__init__(f"the watched folder {folder!r} does not answer: a call has not come back for {for_sec:.0f} s")
        self.folder = folder
        self.for_sec = for_sec


class Abandoned(Exception):
    """Nobody waits for this call any more."""


class _Call:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.done: Future[Any] = Future()
        self.abandoned = False
        #: When it last showed that it goes on; None until a thread has begun it.
        self.alive_sec: float | None = None


class FolderThreads:
    """Makes the calls of one folder. `call` is for the event loop; `alive` is for the work that it was given."""

    def __init__(
        self, folder: str, clock: Clock, *, limit_sec: float = LIMIT_SEC, most: int = THREADS, mounts: Path = MOUNTS
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._limit_sec = limit_sec
        self._most = most
        self._mounts = mounts
        #: The mounts as they were when a call was last found to hang.
        self._mounts_then = b""
        self._changed = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._running: set[_Call] = set()
        self._threads = 0
        self._idle = 0
        self._mine = threading.local()

    async def call(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` returns or raises. Raises FolderSilent when it hangs, and at once while an earlier call does."""
        self._check()
        call = _Call(partial(work, *arguments))
        self._begin(call)
        waiting = asyncio.wrap_future(call.done)
        try:
            while not (await asyncio.wait({waiting}, timeout=self._limit_sec / 2))[0]:
                if self._hangs(call):
                    raise self._silent()
            result: T = waiting.result()
            return result
        finally:
            call.abandoned = not waiting.done()
            waiting.cancel()

    def alive(self) -> None:
        """For a call of many steps, before each of them. Raises Abandoned."""
        call: _Call | None = getattr(self._mine, "call", None)
        if call is None:
            return
        if call.abandoned:
            raise Abandoned
        call.alive_sec = self._clock.boottime()

    def stuck(self) -> int:
        """How many threads hang in the file system."""
        return len(self._silences())

    def _check(self) -> None:
        """A call that hangs comes back when its file system does. One that was unmounted lazily does not, so after a
        change of the mounts it is tried beside it, while there are threads.
        """
        stuck = self.stuck()
        if stuck and (stuck >= self._most or self._mounts.read_bytes() == self._mounts_then):
            raise self._silent()

    def _hangs(self, call: _Call) -> bool:
        if call.alive_sec is None:
            return self.stuck() >= self._most  # no thread is left for it
        return self._clock.boottime() - call.alive_sec > self._limit_sec

    def _silences(self) -> list[float]:
        now_sec = self._clock.boottime()
        with self._changed:
            silences = [now_sec - each.alive_sec for each in self._running if each.alive_sec is not None]
        return [each for each in silences if each > self._limit_sec]

    def _silent(self) -> FolderSilent:
        self._mounts_then = self._mounts.read_bytes()
        return FolderSilent(self._folder, max(self._silences(), default=self._limit_sec))

    def _begin(self, call: _Call) -> None:
        with self._changed:
            self._waiting.append(call)
            if len(self._waiting) <= self._idle or self._threads >= self._most:
                self._changed.notify()
                return
            self._threads += 1
        # A daemon: the interpreter joins all others before it ends, and one that hangs would keep it for ever.
        threading.Thread(target=self._run, name=f"folder {self._folder}", daemon=True).start()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            self._mine.call = call
            _complete(call)
            self._mine.call = None
            with self._changed:
                self._running.discard(call)
            del call  # and with it what it has opened

    def _next(self) -> _Call | None:
        with self._changed:
            self._idle += 1
            if not self._changed.wait_for(lambda: self._waiting, IDLE_SEC):
                self._threads -= 1
            self._idle -= 1
            if not self._waiting:
                return None
            call = self._waiting.popleft()
            call.alive_sec = self._clock.boottime()
            self._running.add(call)
            return call


def _complete(call: _Call) -> None:
    if not call.done.set_running_or_notify_cancel():
        return
    try:
        result = call.work()
    except BaseException as error:  # it belongs to who waits for it
        call.done.set_exception(error)
    else:
        call.done.set_result(result)
