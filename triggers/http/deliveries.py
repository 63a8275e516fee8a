"""Messages of a webhook on their way to the intake, which a caller who is not willing to wait asks for again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from processor.core.errors import HeadraceError

Result = TypeVar("Result")

#: Messages under way whose caller has been sent away. Each has at most the size of one body.
MAX_UNDER_WAY = 256
#: Ended ones whose caller has not come back yet; if it comes after all, its repeat is harmless.
MAX_ENDED = 1_000


class TooManyUnderWay(HeadraceError):
    """Too many messages wait for their function's rate, or for the log."""

    remedy = "Send it again later; raise `rate` of the function if this goes on."


class NotYet(HeadraceError):
    """The message is not durable yet; it goes on."""

    remedy = "Send the same message again: it is answered as soon as it is durable."


class Deliveries(Generic[Result]):
    """A message that takes longer than its caller waits goes on by itself, and its repeat finds it: a message of a
    thousand records for a slow function would else begin anew each time, and never come to its end. One event loop.
    """

    def __init__(self, *, wait_sec: float) -> None:
        self._wait_sec = wait_sec
        self._under_way: dict[bytes, asyncio.Task[Result]] = {}
        self._ended: OrderedDict[bytes, Result] = OrderedDict()

    async def deliver(self, message: bytes, begin: Callable[[], Awaitable[Result]]) -> Result:
        """begin: makes the message durable. Raises NotYet, TooManyUnderWay, and what it raises."""
        name = hashlib.sha256(message).digest()
        if name in self._ended:
            return self._ended.pop(name)
        task = self._under_way.get(name) or self._begin(name, begin)
        await asyncio.wait({task}, timeout=self._wait_sec)
        if not task.done() or task.cancelled():
            raise NotYet
        self._ended.pop(name, None)
        return task.result()

    async def stop(self) -> None:
        """Gives up what is under way: nobody was told that it is durable."""
        for task in list(self._under_way.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, HeadraceError):
                await task

    def _begin(self, name: bytes, begin: Callable[[], Awaitable[Result]]) -> asyncio.Task[Result]:
        if len(self._under_way) >= MAX_UNDER_WAY:
            raise TooManyUnderWay
        task = asyncio.ensure_future(_run(begin))
        self._under_way[name] = task
        task.add_done_callback(lambda done: self._end(name, done))
        return task

    def _end(self, name: bytes, task: asyncio.Task[Result]) -> None:
        del self._under_way[name]
        if not task.cancelled() and task.exception() is None:
            self._ended[name] = task.result()
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)


async def _run(begin: Callable[[], Awaitable[Result]]) -> Result:
    return await begin()
