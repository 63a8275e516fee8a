from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.function import Function
from processor.registry.registry import Registry
from triggers.abstract import AdapterFactory, Binding, Health, Trigger, TriggerState

log = logging.getLogger(__name__)

#: How soon a deploy takes effect.
FOLLOW_SEC = 0.5
#: An adapter that ended with an error is started again after this long, doubled each time up to the limit.
FIRST_PAUSE_SEC = 1.0
LONGEST_PAUSE_SEC = 60.0
#: One that ran this long was well: its next pause is the first again.
WELL_AFTER_SEC = 60.0


class TriggerHost:
    """Runs the adapters of all enabled functions, and follows the registry: a function deployed later gets its
    triggers, a changed or disabled one loses those it had. Used on one event loop.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        adapters: Mapping[str, AdapterFactory],
        clock: Clock,
        first_pause_sec: float = FIRST_PAUSE_SEC,
    ) -> None:
        """registry: started by whoever made it. adapters: by kind, as in the manifest's `events`."""
        self._registry = registry
        self._adapters = adapters
        self._clock = clock
        self._first_pause_sec = first_pause_sec
        self._keepers: dict[str, _Keeper] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the adapters of all functions known by now are under way."""
        await self._reconcile()
        self._task = asyncio.create_task(self._follow(), name="trigger-host")

    async def stop(self) -> None:
        """Follows no more, then ends the adapters; events in their hands are accepted or come again."""
        if self._task is not None:
            await _cancel(self._task)
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
        self._keepers.clear()

    @property
    def failed(self) -> bool:
        return self._task is not None and self._task.done()

    def health(self) -> list[tuple[Binding, Health]]:
        """In the order of their functions' names."""
        keepers = sorted(self._keepers.values(), key=lambda each: (each.binding.function, each.binding.kind))
        return [(each.binding, each.health) for each in keepers]

    def summary(self) -> str:
        count = sum(health.state is not TriggerState.UNSUPPORTED for _, health in self.health())
        return f"watching {count} source{'s' * (count != 1)}"

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_SEC)
            try:
                self._registry.refresh()
            except HeadraceError as error:  # the log is away: what is known goes on
                log.warning("functions are not followed: %s", error, extra={"action": "functions_retry"})
            await self._reconcile()

    async def _reconcile(self) -> None:
        wanted = {_key(each): each for function in self._registry.view.all() for each in bindings_of(function)}
        gone = [self._keepers.pop(key) for key in list(self._keepers) if key not in wanted]
        await asyncio.gather(*(keeper.stop() for keeper in gone))
        for key, binding in wanted.items():
            if key not in self._keepers:
                keeper = _Keeper(binding, self._adapters.get(binding.kind), self._clock, self._first_pause_sec)
                self._keepers[key] = keeper
                keeper.start()


def bindings_of(function: Function) -> list[Binding]:
    if not function.enabled:
        return []
    return [
        Binding(function=function.name, creation=function.creation, kind=kind, settings=settings)
        for event in function.events
        for kind, settings in event.items()
    ]


def _key(binding: Binding) -> str:
    settings = json.dumps(binding.settings, sort_keys=True)
    return f"{binding.function}\0{binding.creation}\0{binding.kind}\0{settings}"


@dataclass(slots=True)
class _Keeper:
    """Keeps the adapter of one binding running."""

    binding: Binding
    factory: AdapterFactory | None
    clock: Clock
    first_pause_sec: float
    _trigger: Trigger | None = None
    _task: asyncio.Task[None] | None = None
    #: Instead of the adapter's own, while there is none running.
    _instead: Health | None = field(default_factory=lambda: Health(state=TriggerState.STARTING))

    @property
    def health(self) -> Health:
        return self._instead or (self._trigger.health if self._trigger else Health(state=TriggerState.STARTING))

    def start(self) -> None:
        if self.factory is None:
            self._instead = Health(
                state=TriggerState.UNSUPPORTED,
                reason=f"this version has no adapter for {self.binding.kind!r}",
                remedy="Use another trigger, or a version that has it.",
            )
            log.warning("%s: %s", self.binding, self._instead.reason, extra=self._fields("trigger_unsupported"))
            return
        self._task = asyncio.create_task(self._keep(self.factory), name=f"trigger {self.binding}")

    async def stop(self) -> None:
        if self._task is not None:
            await _cancel(self._task)
        self._instead = Health(state=TriggerState.STOPPED)

    async def _keep(self, factory: AdapterFactory) -> None:
        pause_sec = self.first_pause_sec
        while True:
            begun_sec = self.clock.boottime()
            error = await self._run_once(factory)
            if self.clock.boottime() - begun_sec >= WELL_AFTER_SEC:
                pause_sec = self.first_pause_sec
            self._instead = Health(
                state=TriggerState.FAILED,
                reason=str(error) or type(error).__name__,
                remedy=getattr(error, "remedy", "") or f"It is started again in {pause_sec:g} s.",
            )
            await asyncio.sleep(pause_sec)
            pause_sec = min(pause_sec * 2, LONGEST_PAUSE_SEC)

    async def _run_once(self, factory: AdapterFactory) -> Exception:
        try:
            self._trigger = factory(self.binding)
            self._instead = None
            await self._trigger.run()
        except Exception as error:  # whatever it is, the other triggers go on and this one begins again
            log.exception("%s ended: %s", self.binding, error, extra=self._fields("trigger_failed"))
            return error
        return RuntimeError("it ended without an error")

    def _fields(self, action: str) -> dict[str, str]:
        return {"action": action, "function": self.binding.function}


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
