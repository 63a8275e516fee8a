from __future__ import annotations

import asyncio
import contextlib
import logging

from processor.core.clock import Clock
from processor.core.errors import HeadraceError, Undecodable
from processor.core.function import Function
from processor.core.inflight import Sign, SignKind
from processor.core.lifesigns import BEAT_EVERY_SEC, DECLARE_AFTER_SEC
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason, merged
from processor.gateway.roster import Roster
from processor.transport.abstract import Record, Tail, Transport

log = logging.getLogger(__name__)

_POLL_RECORDS = 1_000
_POLL_SEC = 0.5
_RETRY_SEC = 1.0
#: Somebody (recovery at least) beats all the time; a longer silence means that we hear nothing, not that nobody lives.
_SILENCE_SEC = 2.5 * BEAT_EVERY_SEC


class Fleet:
    """The executors and gateways as of a moment ago, fed by a tail of `instances`. Used on one event loop.

    It listens from the present end on, so for the first seconds, and in and after an outage, it does not know.
    """

    def __init__(self, transport: Transport, clock: Clock, own_process: str = "") -> None:
        """own_process: the gateway that asks."""
        self._own = own_process
        self.roster = Roster(clock)
        self._transport = transport
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        #: The last heartbeat of each executor, and when it was heard.
        self._signs: dict[str, tuple[Sign, float]] = {}
        #: The same of other gateways; they have nothing to say but that they live.
        self._gateways: dict[str, float] = {}
        #: Since when there was no silence, and when anybody was heard last.
        self._hearing_since_sec = self._heard_sec = float("-inf")

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="gateway-fleet")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def why_waits(self, function: Function) -> str | None:
        """Why an event of it that is queued now is not started; None when it soon is, or when that is not known."""
        if function.paused:
            return "paused"
        serving = self._serving()
        if not serving:
            return self._why_nobody_serves(function) if self._would_know() else None
        wait = merged(sign.waits[function.name] for sign in serving if function.name in sign.waits)
        if wait is not None:
            return wait.text(function.rate_per_sec)
        return None if any(sign.room for sign in serving) else "no free slot"

    def _why_nobody_serves(self, function: Function) -> str:
        deaths = max((sign.young_deaths - 1 for sign, _ in self._signs.values()), default=0)
        if deaths > 1:
            return Wait(WaitReason.CAUTION, deaths).text(function.rate_per_sec)
        return "no executor serves it"

    def live_gateways(self) -> int:
        """How many there are, we included; the others count from their first heartbeat to 12 s after their last."""
        # Up to what was heard last, not to now: in an outage, in which nobody is heard, nobody has gone for that.
        since_sec = self._heard_sec - DECLARE_AFTER_SEC
        self._gateways = {process: at_sec for process, at_sec in self._gateways.items() if at_sec >= since_sec}
        return 1 + len(self._gateways)

    @property
    def knows(self) -> bool:
        """False: it has not listened for long enough yet to have heard everybody, or hears nothing."""
        return self._would_know()

    def hear(self, record: Record) -> None:
        """A record of `instances`."""
        self.roster.hear(record)
        now_sec = self._clock.boottime()
        if now_sec - self._heard_sec > _SILENCE_SEC:
            self._hearing_since_sec = now_sec
        self._heard_sec = now_sec
        kind, _, process = (record.key or b"").decode("utf-8", "replace").partition(" ")
        try:
            sign = None if record.value is None else Sign.decode(record.value)
        except Undecodable:  # recovery says so
            return
        if kind == SignKind.DEAD.value or sign is None:
            self._signs.pop(process, None)
            self._gateways.pop(process, None)
        elif sign.role == "gateway":
            if process != self._own:
                self._gateways[process] = now_sec
        elif sign.role == "executor":
            self._signs[process] = (sign, now_sec)

    def _serving(self) -> list[Sign]:
        since_sec = self._clock.boottime() - DECLARE_AFTER_SEC
        self._signs = {process: heard for process, heard in self._signs.items() if heard[1] >= since_sec}
        return [sign for sign, _ in self._signs.values() if sign.serving]

    def _would_know(self) -> bool:
        """Whoever lives would have been heard by now."""
        audible = self._clock.boottime() - self._heard_sec <= _SILENCE_SEC
        return audible and self._heard_sec - self._hearing_since_sec >= DECLARE_AFTER_SEC

    async def _run(self) -> None:
        while True:
            tail = self._transport.tail()
            try:
                await self._listen(tail)
            except HeadraceError as error:
                log.warning("life signs are read anew: %s", error, extra={"action": "fleet_retry"})
                await asyncio.sleep(_RETRY_SEC)
            finally:
                await tail.stop()

    async def _listen(self, tail: Tail) -> None:
        await tail.start([INSTANCES.name], from_low=False)
        while True:
            for record in await tail.poll(_POLL_RECORDS, _POLL_SEC):
                self.hear(record)
