from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping

from processor.core.clock import Clock
from processor.core.errors import HeadraceError
from processor.http.message import Request, Response
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.http.listener import Listener
from triggers.http.routes import Route, RouteTaken, Template

#: How often a path that another trigger serves is tried again.
LOOK_SEC = 1.0


class RoutedTrigger(Trigger):
    """A trigger that is called: it has a route of the listener for as long as it runs."""

    def __init__(
        self, binding: Binding, *, listener: Listener, clock: Clock, path: str, methods: frozenset[str]
    ) -> None:
        self._binding = binding
        self._listener = listener
        self._clock = clock
        self._route = Route(template=Template.of(path), methods=methods, owner=str(binding), answer=self.answer)
        self._state = TriggerState.STARTING
        self._taken: RouteTaken | None = None
        #: The last event that could not be accepted, until one was.
        self._trouble: HeadraceError | None = None
        self._accepted = 0
        self._rejected = 0
        self._last_event_ms: int | None = None

    @abstractmethod
    async def answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Returns once what came is durable. Raises HeadraceError for everything else, which becomes the answer."""

    async def run(self) -> None:
        try:
            while True:
                try:
                    with self._listener.serving(self._route):
                        self._state, self._taken = TriggerState.WATCHING, None
                        await asyncio.Event().wait()
                except RouteTaken as error:
                    self._state, self._taken = TriggerState.WAITING, error
                    await asyncio.sleep(LOOK_SEC)
        finally:
            self._state = TriggerState.STOPPED

    @property
    def health(self) -> Health:
        state, trouble = self._state, self._taken or self._trouble
        if state is TriggerState.WATCHING and self._listener.url is None:
            trouble = self._listener.trouble
            state = TriggerState.STARTING if trouble is None else TriggerState.WAITING
        return Health(
            state=state,
            reason=str(trouble) if trouble else "",
            remedy=trouble.remedy if trouble else "",
            accepted=self._accepted,
            rejected=self._rejected,
            last_event_ms=self._last_event_ms,
        )

    def _note_accepted(self, count: int) -> None:
        """What came is durable; 0: there was no event in it."""
        self._trouble = None
        if count:
            self._accepted += count
            self._last_event_ms = self._clock.unix_ms()

    def _note_trouble(self, error: HeadraceError) -> None:
        self._trouble = error
