"""How an adapter lives with a source that comes and goes: the condition it is in, and when it tries again.

An adapter derives from WatchingTrigger and writes `watch`: one life of its connection. `watch` calls
`condition.watching()` once what happens at the source becomes an event, and raises what is wrong with the source. The
errors named in `passing` become the state WAITING, and `watch` is called again after a pause. Any other error ends the
adapter, and the host starts another one.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from triggers.abstract import Binding, Health, Trigger, TriggerState


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """How long to wait before the next try: the first pause, doubled each time up to the limit."""

    first_sec: float
    longest_sec: float

    def after(self, last_sec: float) -> float:
        """last_sec: the pause before; 0 when this is the first failure in a row."""
        return min(max(2 * last_sec, self.first_sec), self.longest_sec)


class Condition:
    """How an adapter is. Its parts write it, on the event loop; `health` shows it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.state = TriggerState.STARTING
        #: Why it waits; or, while it watches, why events are not accepted at present.
        self.trouble: HeadraceError | None = None
        self.accepted = 0
        self.rejected = 0
        self.last_event_ms: int | None = None
        #: What is still to come at the source; counts only while it is watched.
        self.lag: int | None = None

    @property
    def is_watching(self) -> bool:
        return self.state is TriggerState.WATCHING

    def watching(self) -> None:
        """The source is there. May be said again at any time."""
        if not self.is_watching:
            self.state, self.trouble = TriggerState.WATCHING, None

    def waiting(self, why: HeadraceError) -> None:
        """The source is not there."""
        self.state, self.trouble = TriggerState.WAITING, why

    def note_trouble(self, error: HeadraceError) -> None:
        """Events are not accepted at present. A source that is not there is the greater trouble, and stays shown."""
        if self.is_watching:
            self.trouble = error

    def note_accepted(self, count: int = 1) -> None:
        """What came is durable; 0: there was no event in it."""
        self._forget_trouble()
        if count:
            self.accepted += count
            self.last_event_ms = self._clock.unix_ms()

    def note_rejected(self, count: int = 1) -> None:
        self._forget_trouble()
        self.rejected += count

    def health(self) -> Health:
        return self.shown_as(self.state, self.trouble)

    def shown_as(self, state: TriggerState, why: HeadraceError | None) -> Health:
        return Health(
            state=state,
            reason=str(why) if why else "",
            remedy=why.remedy if why else "",
            accepted=self.accepted,
            rejected=self.rejected,
            last_event_ms=self.last_event_ms,
            lag=self.lag if state is TriggerState.WATCHING else None,
        )

    def _forget_trouble(self) -> None:
        if self.is_watching:
            self.trouble = None


class WatchingTrigger(Trigger):
    #: What `watch` raises when the source is not there: it is tried again.
    passing: ClassVar[tuple[type[HeadraceError], ...]] = (HeadraceError,)

    def __init__(self, binding: Binding, clock: Clock, backoff: Backoff) -> None:
        self._binding = binding
        self._clock = clock
        self._backoff = backoff
        self._condition = Condition(clock)

    @abstractmethod
    async def watch(self) -> None:
        """One life of the connection to the source. Raises what ended it; returns to begin anew at once."""

    async def let_go(self) -> None:
        """At the very end, after the last `watch`."""

    async def run(self) -> None:
        pause_sec = 0.0
        try:
            while True:
                try:
                    await self.watch()
                except self.passing as error:
                    pause_sec = self.backoff_after(error).after(0.0 if self._condition.is_watching else pause_sec)
                    self._condition.waiting(error)
                    await asyncio.sleep(pause_sec)
        finally:
            self._condition.state = TriggerState.STOPPED
            await self.let_go()

    def backoff_after(self, error: HeadraceError) -> Backoff:
        return self._backoff

    @property
    def health(self) -> Health:
        return self._condition.health()
