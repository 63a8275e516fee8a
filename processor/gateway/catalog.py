from __future__ import annotations

import asyncio
import contextlib
import logging

from processor.core.errors import HeadraceError
from processor.core.function import Function
from processor.core.topics import FUNCTIONS
from processor.http.problems import Refused, unavailable
from processor.registry.view import FunctionsView
from processor.transport.abstract import Tail, Transport

log = logging.getLogger(__name__)

_POLL_RECORDS = 1_000
_POLL_SEC = 0.5
_RETRY_SEC = 1.0
_SEEN_LIMIT_SEC = 3.0


class Catalog:
    """The functions of the installation as of a moment ago, fed by a tail of `functions`. Used on one event loop.

    While the broker is away the last known state stays: an event for a function that has just been deleted gets its
    verdict from the dispatcher, while refusing everybody would help nobody.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._view = FunctionsView()
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        #: Grows with every record that may have changed something.
        self.changes = 0
        #: Everything that was on the topic at the start has been seen.
        self.caught_up = asyncio.Event()

    def find(self, name: str) -> Function | None:
        """Raises Refused (503) instead of saying that there is none before the topic has been read to its end."""
        found = self._view.get(name)
        if found is None and not self.caught_up.is_set():
            raise Refused(_STARTING)
        return found

    def functions(self) -> list[Function]:
        return sorted(self._view.all(), key=lambda each: each.name)

    async def seen(self, deployed: Function) -> None:
        """Returns when what was deployed has come by, or after a moment: it is on the topic in any case."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_LIMIT_SEC):
                while not self._has(deployed):
                    self._changed.clear()
                    await self._changed.wait()

    async def gone(self, name: str) -> None:
        """Returns when the removal has come by, or after a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_LIMIT_SEC):
                while self._view.get(name) is not None:
                    self._changed.clear()
                    await self._changed.wait()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="gateway-functions")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _has(self, deployed: Function) -> bool:
        known = self._view.get(deployed.name)
        return known is not None and (known.creation, known.revision) >= (deployed.creation, deployed.revision)

    async def _run(self) -> None:
        while True:
            tail = self._transport.tail()
            try:
                await self._read(tail)
            except HeadraceError as error:
                log.warning("functions are read anew: %s", error, extra={"action": "functions_retry"})
                await asyncio.sleep(_RETRY_SEC)
            finally:
                await tail.stop()

    async def _read(self, tail: Tail) -> None:
        await tail.start([FUNCTIONS.name], from_low=True)
        while True:
            for record in await tail.poll(_POLL_RECORDS, _POLL_SEC):
                self._view.apply(record)
                self.changes += 1
                self._changed.set()
            if not self.caught_up.is_set() and await tail.at_end():
                self.caught_up.set()


_STARTING = unavailable(
    "starting",
    "Gateway starts",
    "the functions have not been read to their end yet",
    remedy="Send the request again: /readyz says when the functions are known.",
)
