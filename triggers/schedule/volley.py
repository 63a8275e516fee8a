from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.dispatcher.accept import EventTooLarge
from triggers.abstract import Binding
from triggers.intake import Intake, Trouble
from triggers.schedule.errors import NotTaken

#: From so many on, one flush for all is cheaper than awaiting each, and as quick.
MANY = 8
#: What intake has not taken by then, for want of a token of the function's rate, is decided anew: it must not lie there
#: until the executors have forgotten that another process was faster.
LIMIT_SEC = 20.0
#: Firings under way get this long at the end.
STOP_SEC = 3.0


class _Target(NamedTuple):
    function: str
    kind: str
    event_format: str


@dataclass(frozen=True, slots=True)
class _Shot:
    binding: Binding
    event: Event
    on_trouble: Trouble
    on_durable: Callable[[], None]
    #: Why it can never be accepted; None: it has been.
    fired: asyncio.Future[HeadraceError | None] = field(default_factory=asyncio.Future)


class Volleys:
    """Takes what a function's schedules fire in the same moment to intake together: at the beginning of a minute there
    may be a thousand of them. Used on one event loop.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._loading: dict[_Target, list[_Shot]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def fire(
        self, binding: Binding, event: Event, on_trouble: Trouble, on_durable: Callable[[], None]
    ) -> HeadraceError | None:
        """Returns once it is durable (None), or with the reason why it can never be. on_trouble: told before each new
        try; what it raises is raised here. on_durable: called also when the caller was cancelled meanwhile, because
        the event goes its way then. Raises UnknownFunction, FunctionDisabled, and NotTaken after LIMIT_SEC.
        """
        shot = _Shot(binding, event, on_trouble, on_durable)
        target = _Target(binding.function, binding.kind, binding.event_format)
        if target in self._loading:
            self._loading[target].append(shot)
        else:
            self._loading[target] = [shot]
            self._begin(target)
        return await shot.fired

    async def stop(self) -> None:
        """What is under way is accepted, or comes again from another process or after the next start."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=STOP_SEC)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _begin(self, target: _Target) -> None:
        task = asyncio.create_task(self._volley(target), name=f"volley of {target.function}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _volley(self, target: _Target) -> None:
        await asyncio.sleep(0)  # whoever is due in this turn of the loop is in it
        shots = self._loading.pop(target)
        if len(shots) >= MANY:
            await self._many(shots)
        else:
            await asyncio.gather(*(self._one(each) for each in shots))

    async def _one(self, shot: _Shot) -> None:
        try:
            async with asyncio.timeout(LIMIT_SEC):
                await self._intake.submit(shot.binding, shot.event, on_trouble=shot.on_trouble)
        except EventTooLarge as error:
            _tell(shot, error)
        except TimeoutError:
            _fail(shot, NotTaken())
        except Exception as error:  # whatever it is, it belongs to who waits for the firing
            _fail(shot, error)
        else:
            _tell(shot, None)

    async def _many(self, shots: list[_Shot]) -> None:
        def on_trouble(error: HeadraceError) -> None:
            for shot in shots:
                shot.on_trouble(error)

        try:
            while shots:
                events = [each.event for each in shots]
                async with asyncio.timeout(LIMIT_SEC):
                    answers = await self._intake.submit_some(shots[0].binding, events, on_trouble=on_trouble)
                for shot, answer in zip(shots, answers, strict=False):
                    _tell(shot, None if isinstance(answer, str) else answer)
                shots = shots[len(answers) :]
        except TimeoutError:
            for shot in shots:
                _fail(shot, NotTaken())
        except Exception as error:  # as above; none of those left has been answered
            for shot in shots:
                _fail(shot, error)


def _tell(shot: _Shot, refused: HeadraceError | None) -> None:
    if refused is None:
        shot.on_durable()
    if not shot.fired.done():  # nobody waits for it any longer
        shot.fired.set_result(refused)


def _fail(shot: _Shot, error: Exception) -> None:
    if not shot.fired.done():
        shot.fired.set_exception(error)
