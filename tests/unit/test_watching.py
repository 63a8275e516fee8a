"""How every adapter lives with a source that comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from processor.core.clock import ManualClock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding, TriggerState
from triggers.watching import Backoff, Condition, WatchingTrigger

LIMIT_SEC = 20.0
BINDING = Binding(function="f", creation=1, kind="well", settings={})
AT_ONCE = Backoff(first_sec=0.0, longest_sec=0.0)


class WellDry(HeadraceError):
    """The well is dry."""

    remedy = "Wait for rain."


class WellCollapsed(HeadraceError):
    """The well has collapsed."""


class Well(WatchingTrigger):
    passing = (WellDry,)

    def __init__(self) -> None:
        super().__init__(BINDING, ManualClock(), AT_ONCE)
        #: What each life of `watch` does: raise, or return at once; without one it watches on.
        self.lives: asyncio.Queue[BaseException | None] = asyncio.Queue()
        self.begun = 0
        self.let_go_as: TriggerState | None = None

    async def watch(self) -> None:
        self.begun += 1
        end = await self.lives.get()
        if end is not None:
            raise end

    async def let_go(self) -> None:
        self.let_go_as = self.health.state


@asynccontextmanager
async def running(well: Well) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(well.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, HeadraceError):
            await task


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SEC):
        while True:
            if reached():
                return
            await asyncio.sleep(0)


def test_a_source_that_is_not_there_is_a_state_with_its_remedy_and_is_tried_again() -> None:
    async def main() -> None:
        well = Well()
        assert well.health.state is TriggerState.STARTING
        async with running(well):
            well.lives.put_nowait(WellDry())
            await until(lambda: well.begun == 2)
            health = well.health
            assert (health.state, health.reason, health.remedy) == (
                TriggerState.WAITING,
                "The well is dry.",
                "Wait for rain.",
            )
            well.lives.put_nowait(None)
            await until(lambda: well.begun == 3)
        assert well.let_go_as is TriggerState.STOPPED

    asyncio.run(main())


def test_an_error_that_does_not_pass_ends_the_adapter() -> None:
    async def main() -> None:
        well = Well()
        async with running(well) as task:
            well.lives.put_nowait(WellCollapsed())
            await asyncio.wait({task})
            with pytest.raises(WellCollapsed):
                task.result()
        assert well.let_go_as is TriggerState.STOPPED

    asyncio.run(main())


def test_pauses_double_up_to_the_limit_and_begin_anew_after_it_was_well() -> None:
    backoff = Backoff(first_sec=0.5, longest_sec=3.0)
    pauses = [0.0]
    for _ in range(4):
        pauses.append(backoff.after(pauses[-1]))
    assert pauses == [0.0, 0.5, 1.0, 2.0, 3.0]
    assert backoff.after(0.0) == 0.5


def test_a_pause_is_the_first_again_once_the_source_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    class Remembering(Backoff):
        def after(self, last_sec: float) -> float:
            asked.append(last_sec)
            return 0.25

    async def no_sleep(_: float) -> None: ...

    class Flowing(Well):
        async def watch(self) -> None:
            self.begun += 1
            if self.begun == 3:
                self._condition.watching()
            if self.begun == 5:
                raise WellCollapsed
            raise WellDry

    monkeypatch.setattr("triggers.watching.asyncio.sleep", no_sleep)
    well = Flowing()
    well._backoff = Remembering(first_sec=0.25, longest_sec=9.0)
    with pytest.raises(WellCollapsed):
        asyncio.run(well.run())
    assert asked == [0.0, 0.25, 0.0, 0.25]


def test_trouble_with_events_is_shown_only_beside_a_source_that_is_there() -> None:
    condition = Condition(ManualClock())
    condition.note_trouble(WellCollapsed())
    assert condition.health().reason == ""
    condition.watching()
    condition.note_trouble(WellCollapsed())
    assert (condition.health().state, condition.health().reason) == (TriggerState.WATCHING, "The well has collapsed.")
    condition.watching()  # said again: the trouble is still there
    assert condition.health().reason
    condition.note_accepted()
    assert condition.health().reason == ""
    condition.waiting(WellDry())
    condition.note_accepted()  # of what was in hand: the source is away all the same
    assert condition.health().reason == "The well is dry."


def test_counts_are_of_events_and_the_lag_is_of_a_source_that_is_there() -> None:
    condition = Condition(ManualClock(unix_ms=7))
    condition.watching()
    condition.lag = 5
    condition.note_accepted(0)
    assert condition.health().last_event_ms is None
    condition.note_accepted(2)
    condition.note_rejected()
    health = condition.health()
    assert (health.accepted, health.rejected, health.last_event_ms, health.lag) == (2, 1, 7, 5)
    condition.waiting(WellDry())
    assert condition.health().lag is None
