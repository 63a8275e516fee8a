from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid

from processor.core.clock import Clock
from processor.core.inflight import Sign, SignKind, executor_id
from processor.core.lifesigns import BEAT_EVERY_SEC
from processor.core.topics import INSTANCES
from processor.transport.abstract import Appender, Outcome

log = logging.getLogger(__name__)

ROLE = "gateway"
#: Nobody waits for the last word of a gateway that stops.
_DEPART_SEC = 2.0


class Presence:
    """The heartbeats of one gateway on `instances`: the others divide each function's rate by how many there are."""

    def __init__(self, appender: Appender, clock: Clock) -> None:
        self._appender = appender
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        #: Nobody's before us: an earlier life of this process would be counted as one more gateway.
        self.process = executor_id(ROLE, uuid.uuid4().hex[:12])

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="gateway-presence")

    async def stop(self) -> None:
        """Takes the heartbeat off the log, so that the others have our part of the rate at once. The appender has to be
        running still. Never raises; an outage costs two seconds.
        """
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._append(None), _DEPART_SEC)

    async def _run(self) -> None:
        while True:
            # One at a time: after an outage there is no use in all those that were due in it.
            await self._append(self._sign().encode())
            await asyncio.sleep(BEAT_EVERY_SEC)

    async def _append(self, value: bytes | None) -> None:
        appended = await self._appender.append(INSTANCES.name, value, key=self._sign().key, partition=0)
        if appended.outcome is not Outcome.YES:
            log.info("a life sign may be missing: %s", appended.reason, extra={"action": "presence_unknown"})

    def _sign(self) -> Sign:
        return Sign(kind=SignKind.HEARTBEAT, process=self.process, role=ROLE, at_ms=self._clock.unix_ms())
