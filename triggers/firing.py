"""Firing by hand: every process that runs the trigger sees the request, and the log decides which one does it.

Each of them appends a claim; the one whose claim stands first on the topic fires, the others leave it. So a request is
fired at most once, also when a process dies over it: then nobody fires, and whoever asked is told so by the silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Protocol

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.trigger_fold import CLAIM_WINDOW_MS, Fire, TriggerFold
from processor.core.trigger_records import MAX_LISTED, FireClaim, FireOutcome, FireRequest
from processor.dispatcher.accept import Receipt
from processor.transport.abstract import Appender
from triggers.abstract import TriggerState
from triggers.reports import append

log = logging.getLogger(__name__)

#: A process whose trigger does not watch leaves it to another one for so long.
LEAVE_SEC = 2.0
#: A reconcile of a large bucket takes minutes; one that takes longer than this hangs.
FIRE_LIMIT_SEC = 3_600.0
_RETRY_SEC = 1.0


class NotFired(HeadraceError):
    """The trigger could not be fired."""


class Fireable(Protocol):
    """The host, as far as firing goes."""

    def state_of(self, trigger: str) -> TriggerState | None:
        """None: not one of this process."""

    async def fire(self, trigger: str) -> list[Receipt]: ...


class Firing:
    def __init__(self, *, host: Fireable, fold: TriggerFold, appender: Appender, clock: Clock, replica: str) -> None:
        self._host = host
        self._fold = fold
        self._appender = appender
        self._clock = clock
        self._replica = replica
        #: When each open request was first seen here, and those claimed and begun here.
        self._seen_sec: dict[str, float] = {}
        self._claimed: set[str] = set()
        self._begun: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def tick(self) -> None:
        """Claims what can be claimed, and begins what is ours."""
        for fire in list(self._open()):
            request = fire.asked
            if fire.owner == self._replica and request.request not in self._begun:
                self._begin(request)
            elif fire.owner is None and self._may_claim(fire):
                await self._claim(request)
        self._forget_closed()

    async def stop(self) -> None:
        """What is being fired is cut off; its outcome says so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self) -> Iterator[Fire]:
        for fires in list(self._fold.fires.values()):
            yield from (each for each in fires.values() if each.outcome is None)

    def _may_claim(self, fire: Fire) -> bool:
        request = fire.asked
        state = self._host.state_of(request.trigger)
        if state is None or request.request in self._claimed:
            return False
        if self._clock.unix_ms() - fire.asked_ms > CLAIM_WINDOW_MS:
            return False  # spares a claim that would be void; whether it is, the log's own times decide
        seen_sec = self._seen_sec.setdefault(request.request, self._clock.boottime())
        return state is TriggerState.WATCHING or self._clock.boottime() - seen_sec >= LEAVE_SEC

    async def _claim(self, request: FireRequest) -> None:
        claim = FireClaim(trigger=request.trigger, request=request.request, replica=self._replica)
        if await append(self._appender, claim.key, claim.encode()):
            self._claimed.add(request.request)

    def _begin(self, request: FireRequest) -> None:
        self._begun.add(request.request)
        task = asyncio.create_task(self._fire(request), name=f"fire {request.trigger}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fire(self, request: FireRequest) -> None:
        try:
            outcome = await self._outcome(request)
        except asyncio.CancelledError:
            outcome = self._failed(request, NotFired("the process was stopped while it was firing"))
            with contextlib.suppress(asyncio.CancelledError):
                await append(self._appender, outcome.key, outcome.encode())
            raise
        log.info(
            "fired %s: %s",
            request.trigger,
            outcome.error or f"{outcome.accepted} events accepted",
            extra={"action": "trigger_fired", "trigger": request.trigger, "request": request.request},
        )
        await self._tell(outcome)

    async def _outcome(self, request: FireRequest) -> FireOutcome:
        try:
            async with asyncio.timeout(FIRE_LIMIT_SEC):
                receipts = await self._host.fire(request.trigger)
        except HeadraceError as error:
            return self._failed(request, error)
        except TimeoutError:
            return self._failed(request, NotFired(f"it was not done within {FIRE_LIMIT_SEC:g} s"))
        except Exception as error:
            log.exception("firing %s failed", request.trigger, extra={"action": "fire_failed"})
            return self._failed(request, NotFired(f"{type(error).__name__}: {error}"))
        return FireOutcome(
            trigger=request.trigger,
            request=request.request,
            replica=self._replica,
            at_ms=self._clock.unix_ms(),
            accepted=len(receipts),
            request_ids=tuple(each.request_id for each in receipts[:MAX_LISTED]),
        )

    def _failed(self, request: FireRequest, error: HeadraceError) -> FireOutcome:
        return FireOutcome(
            trigger=request.trigger,
            request=request.request,
            replica=self._replica,
            at_ms=self._clock.unix_ms(),
            error=str(error),
            remedy=error.remedy or "Look at the trigger: `headrace triggers show ID`.",
        )

    async def _tell(self, outcome: FireOutcome) -> None:
        while True:
            if await append(self._appender, outcome.key, outcome.encode()):
                return
            await asyncio.sleep(_RETRY_SEC)

    def _forget_closed(self) -> None:
        still = {each.asked.request for each in self._open()}
        self._seen_sec = {request: at for request, at in self._seen_sec.items() if request in still}
        self._claimed &= still
        self._begun &= still
