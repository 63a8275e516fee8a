from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
from collections.abc import Awaitable, Mapping

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.core.function import Function
from processor.core.trigger_records import GATEWAY_KINDS, Pause
from processor.dispatcher.accept import Receipt
from processor.registry.registry import Registry
from triggers.abstract import AdapterFactory, Binding, Health, TriggerState
from triggers.control import TriggerControl
from triggers.keeper import Keeper, NotRunning

log = logging.getLogger(__name__)

#: How soon a deploy takes effect.
FOLLOW_SEC = 0.5
#: An adapter that ended with an error is started again after this long, doubled each time up to the limit.
FIRST_PAUSE_SEC = 1.0


class TriggerHost:
    """Runs the adapters of all enabled functions, and follows the registry: a function deployed later gets its
    triggers, a changed or disabled one loses those it had; a paused trigger lets go of its source. Used on one event
    loop.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        adapters: Mapping[str, AdapterFactory],
        clock: Clock,
        control: TriggerControl | None = None,
        first_pause_sec: float = FIRST_PAUSE_SEC,
    ) -> None:
        """registry: started by whoever made it. adapters: by kind, as in the manifest's `events`. control: started and
        stopped here; without it nothing can be paused or fired, and nobody is told.
        """
        self._registry = registry
        self._adapters = adapters
        self._clock = clock
        self._control = control
        self._first_pause_sec = first_pause_sec
        #: By creation of the function and id of the trigger: two equal entries are one.
        self._keepers: dict[tuple[int, str], Keeper] = {}
        self._wanted: dict[tuple[int, str], Binding] = {}
        self._functions: tuple[Function, ...] = ()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns once the adapters of all functions known by now are under way, except for those that are paused.
        Raises TransportUnavailable.
        """
        if self._control is not None:
            await self._control.start(self)
        await self._reconcile()
        self._task = asyncio.create_task(self._follow(), name="trigger-host")
        if self._control is not None:
            self._control.serve(self)

    async def stop(self) -> None:
        """Follows no more, then ends the adapters; events in their hands are accepted or come again."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
        if self._control is not None:
            await self._control.stop()
        self._keepers.clear()

    @property
    def failed(self) -> bool:
        return self._task is not None and self._task.done()

    def health(self) -> list[tuple[Binding, Health]]:
        """In the order of their functions' names."""
        keepers = sorted(self._keepers.values(), key=lambda each: (each.binding.function, each.binding.kind))
        return [(each.binding, each.health) for each in keepers]

    def health_by_id(self) -> Mapping[str, Health]:
        return {trigger: keeper.health for (_, trigger), keeper in self._keepers.items()}

    def summary(self) -> str:
        states = [health.state for _, health in self.health()]
        paused = sum(each is TriggerState.PAUSED for each in states)
        count = sum(each is not TriggerState.UNSUPPORTED for each in states) - paused
        return f"watching {count} source{'s' * (count != 1)}" + (f", {paused} paused" if paused else "")

    def wake(self) -> None:
        """What is paused has changed."""
        self._woken.set()

    def state_of(self, trigger: str) -> TriggerState | None:
        keeper = self._find(trigger)
        return None if keeper is None else keeper.health.state

    async def fire(self, trigger: str) -> list[Receipt]:
        """Raises NotRunning, NotFirable and whatever the adapter raises."""
        keeper = self._find(trigger)
        if keeper is None:
            raise NotRunning(f"no trigger {trigger!r} is here any more")
        return await keeper.fire()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_SEC):
                    await self._woken.wait()
            self._woken.clear()
            try:
                self._registry.refresh()
            except HeadraceError as error:  # the log is away: what is known goes on
                log.warning("functions are not followed: %s", error, extra={"action": "functions_retry"})
            await self._reconcile()

    async def _reconcile(self) -> None:
        self._read_functions()
        gone = [self._keepers.pop(key) for key in list(self._keepers) if key not in self._wanted]
        for key, binding in self._wanted.items():
            if key not in self._keepers:
                adapter = self._adapters.get(binding.kind)
                self._keepers[key] = Keeper(binding, adapter, self._clock, self._first_pause_sec)
        await asyncio.gather(*(keeper.stop() for keeper in gone))  # before what takes their place: it has their source
        await asyncio.gather(*self._settle())
        for keeper in self._keepers.values():
            keeper.note_state()

    def _read_functions(self) -> None:
        """A function that was not deployed again is the same object: ids of a thousand triggers cost milliseconds."""
        functions = self._registry.view.all()
        if len(functions) == len(self._functions) and all(map(operator.is_, functions, self._functions)):
            return
        self._functions = functions
        bindings = [each for function in functions for each in bindings_of(function)]
        self._wanted = {(each.creation, each.trigger_id): each for each in bindings}

    def _settle(self) -> list[Awaitable[None]]:
        """Starts what should run; returns what has to be awaited for the others to be paused."""
        pausing: list[Awaitable[None]] = []
        for (_, trigger), keeper in self._keepers.items():
            pause = self._pause_of(trigger)
            if pause is None:
                keeper.start()
            elif not keeper.paused:
                pausing.append(keeper.pause(pause))
        return pausing

    def _pause_of(self, trigger: str) -> Pause | None:
        return None if self._control is None else self._control.pause_of(trigger)

    def _find(self, trigger: str) -> Keeper | None:
        return next((keeper for (_, each), keeper in self._keepers.items() if each == trigger), None)


def bindings_of(function: Function) -> list[Binding]:
    if not function.enabled:
        return []
    return [
        Binding(function=function.name, creation=function.creation, kind=kind, settings=settings)
        for event in function.events
        for kind, settings in event.items()
        if kind not in GATEWAY_KINDS
    ]
