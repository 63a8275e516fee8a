from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping

from processor.core.clock import Clock
from processor.http.message import Request, Response
from triggers.abstract import Binding, Health, TriggerState
from triggers.http.listener import Listener
from triggers.http.routes import Route, RouteTaken, Template
from triggers.watching import Backoff, WatchingTrigger

#: How often a path that another trigger serves is tried again.
LOOK_SEC = 1.0


class RoutedTrigger(WatchingTrigger):
    """A trigger that is called: it has a route of the listener for as long as it runs."""

    passing = (RouteTaken,)

    def __init__(
        self, binding: Binding, *, listener: Listener, clock: Clock, path: str, methods: frozenset[str]
    ) -> None:
        super().__init__(binding, clock, Backoff(first_sec=LOOK_SEC, longest_sec=LOOK_SEC))
        self._listener = listener
        self._route = Route(template=Template.of(path), methods=methods, owner=str(binding), answer=self.answer)

    @abstractmethod
    async def answer(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Returns once what came is durable. Raises HeadraceError for everything else, which becomes the answer."""

    async def watch(self) -> None:
        with self._listener.serving(self._route):
            self._condition.watching()
            await asyncio.Event().wait()

    @property
    def health(self) -> Health:
        if not self._condition.is_watching or self._listener.url is not None:
            return super().health
        trouble = self._listener.trouble
        return self._condition.shown_as(TriggerState.STARTING if trouble is None else TriggerState.WAITING, trouble)
