from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.trigger_records import Pause
from processor.dispatcher.accept import Receipt
from triggers.abstract import AdapterFactory, Binding, Health, Trigger, TriggerState
from triggers.paused import while_paused
from triggers.watching import Backoff

log = logging.getLogger(__name__)

LONGEST_PAUSE_SEC = 60.0
#: One that ran this long was well: its next pause is the first again.
WELL_AFTER_SEC = 60.0
#: An adapter that has not let go of its source by then is left to itself: the others must not wait for it.
LET_GO_SEC = 10.0
_LEVELS = {
    TriggerState.STARTING: logging.DEBUG,
    TriggerState.WAITING: logging.WARNING,
    TriggerState.FAILED: logging.WARNING,
    TriggerState.UNSUPPORTED: logging.WARNING,
}


class NotRunning(HeadraceError):
    """The trigger is not running."""


class EndedByItself(HeadraceError):
    """The adapter ended without an error."""


@dataclass(slots=True)
class Keeper:
    """Keeps the adapter of one binding running, or paused. Used on one event loop."""

    binding: Binding
    factory: AdapterFactory | None
    clock: Clock
    first_pause_sec: float
    _trigger: Trigger | None = None
    _task: asyncio.Task[None] | None = None
    #: Instead of the adapter's own, while there is none running.
    _instead: Health | None = field(default_factory=lambda: Health(state=TriggerState.STARTING))
    #: What the adapters before this one had counted.
    _before: Health = field(default_factory=lambda: Health(state=TriggerState.STOPPED))
    _firings: set[asyncio.Task[list[Receipt]]] = field(default_factory=set)
    _noted: TriggerState | None = None
    _paused: bool = False

    @property
    def health(self) -> Health:
        """Never raises. The counts go on over restarts of the adapter."""
        own = self._own_health()
        return self._counted(self._instead or own, own)

    @property
    def paused(self) -> bool:
        return self._paused

    def start(self) -> None:
        """Does nothing while an earlier adapter has not let go of the source."""
        if self._task is not None and not self._task.done():
            return
        self._paused = False
        if self.factory is None and self._instead and self._instead.state is TriggerState.UNSUPPORTED:
            return
        if self.factory is None:
            self._become(
                TriggerState.UNSUPPORTED,
                f"this version has no adapter for {self.binding.kind!r}",
                "Use another trigger, or a version that has it.",
            )
            return
        self._instead = Health(state=TriggerState.STARTING)
        self._task = asyncio.create_task(self._keep(self.factory), name=f"trigger {self.binding}")

    async def pause(self, why: Pause) -> None:
        """Returns once the adapter has let go of its source. Survives a restart, because it stands on the topic."""
        self._paused = True
        await self._end()
        self._become(
            TriggerState.PAUSED,
            f"paused by {why.by}; {while_paused(self.binding.kind, self.binding.settings)}",
            f"Resume it: `headrace triggers resume {self.binding.trigger_id}`.",
        )

    async def stop(self) -> None:
        await self._end()
        self._become(TriggerState.STOPPED, "", "")

    async def fire(self) -> list[Receipt]:
        """Raises NotRunning, NotFirable and whatever the adapter raises. A pause or stop ends it."""
        health = self.health
        if self._instead is not None or self._trigger is None:
            raise NotRunning(f"the trigger is {health.state.value}: {health.reason}", remedy=health.remedy)
        firing = asyncio.create_task(self._trigger.fire(), name=f"fire {self.binding}")
        self._firings.add(firing)
        firing.add_done_callback(self._firings.discard)
        try:
            await asyncio.wait({firing})
        finally:
            firing.cancel()
        if firing.cancelled():
            raise NotRunning(
                "the trigger was paused or stopped while it was firing", remedy="Resume it, and fire again."
            )
        return firing.result()

    def note_state(self) -> None:
        """One log line for each change of state, whatever the adapter."""
        health = self.health
        if health.state is self._noted:
            return
        self._noted = health.state
        about = ". ".join(filter(None, (health.reason, health.remedy)))
        log.log(
            _LEVELS.get(health.state, logging.INFO),
            "%s is %s%s",
            self.binding.trigger_id,
            health.state.value,
            about and f": {about}",
            extra=self._fields("trigger_state"),
        )

    async def _keep(self, factory: AdapterFactory) -> None:
        backoff = Backoff(first_sec=self.first_pause_sec, longest_sec=LONGEST_PAUSE_SEC)
        pause_sec = 0.0
        while True:
            begun_sec = self.clock.boottime()
            error = await self._run_once(factory)
            was_well = self.clock.boottime() - begun_sec >= WELL_AFTER_SEC
            pause_sec = backoff.after(0.0 if was_well else pause_sec)
            self._count()
            remedy = getattr(error, "remedy", "") or f"It is started again in {pause_sec:g} s."
            self._become(TriggerState.FAILED, str(error) or type(error).__name__, remedy)
            await asyncio.sleep(pause_sec)
            self._instead = Health(state=TriggerState.STARTING)

    async def _run_once(self, factory: AdapterFactory) -> BaseException:
        try:
            self._trigger = factory(self.binding)
            self._instead = None
            await self._trigger.run()
        except HeadraceError as error:  # it says by itself what is wrong
            return error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # nobody cancelled us: something inside the adapter was, and it let that through
        except Exception as error:  # whatever it is, the other triggers go on and this one begins again
            log.exception("%s ended: %s", self.binding, error, extra=self._fields("trigger_failed"))
            return error
        return EndedByItself()

    async def _end(self) -> None:
        ending: set[asyncio.Task[Any]] = {*self._firings} if self._task is None else {self._task, *self._firings}
        for each in ending:
            each.cancel()
        if ending:
            await asyncio.wait(ending, timeout=LET_GO_SEC)
        if self._task is not None and not self._task.done():
            log.error("%s does not let go of its source", self.binding.trigger_id, extra=self._fields("trigger_hangs"))
        self._count()

    def _count(self) -> None:
        if self._trigger is not None:
            own = self._own_health()
            self._before = self._counted(own, own)
            self._trigger = None

    def _own_health(self) -> Health:
        """The running adapter's; without one, that of one which has done nothing yet."""
        try:
            return self._trigger.health if self._trigger is not None else Health(state=TriggerState.STARTING)
        except Exception as error:  # as bad as one that does not run, and must not hide the others
            return Health(state=TriggerState.FAILED, reason=f"its health cannot be told: {error!r}")

    def _counted(self, shown: Health, now: Health) -> Health:
        return replace(
            shown,
            accepted=self._before.accepted + now.accepted,
            rejected=self._before.rejected + now.rejected,
            last_event_ms=now.last_event_ms or self._before.last_event_ms,
        )

    def _become(self, state: TriggerState, reason: str, remedy: str) -> None:
        self._instead = Health(state=state, reason=reason, remedy=remedy)
        self.note_state()

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self.binding.function, "trigger": self.binding.trigger_id}
