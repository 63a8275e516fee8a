"""Pure: which messages of a batch are done, while their events become durable a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.core.event import Event
from triggers.object_storage.notification import Parsed
from triggers.sqs.queue import Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    message: Message
    #: Names the message for people, and identifies it.
    origin: str
    parsed: Parsed


class Batch:
    """Its events in the order of its messages."""

    def __init__(self, received: Sequence[Received]) -> None:
        self.received = received
        #: Messages whose events, if they have any, are all durable, and whose poison is on `rejected`.
        self.done: list[Message] = []
        self._left = [len(each.parsed.events) + bool(each.parsed.poison) for each in received]
        self._events = [(index, each) for index, one in enumerate(received) for each in one.parsed.events]
        for index in range(len(received)):
            self._check(index)

    def waiting(self) -> list[tuple[Event, str]]:
        """Events that are not durable, each with its origin."""
        return [(event, self.received[index].origin) for index, event in self._events]

    def note_durable(self, count: int) -> None:
        """The first of `waiting` are."""
        for index, _ in self._events[:count]:
            self._step(index)
        self._events = self._events[count:]

    def note_rejected(self, received: Received) -> None:
        self._step(self.received.index(received))

    def rest(self) -> list[Message]:
        done = {id(each) for each in self.done}
        return [each.message for each in self.received if id(each.message) not in done]

    def _step(self, index: int) -> None:
        self._left[index] -= 1
        self._check(index)

    def _check(self, index: int) -> None:
        if self._left[index] == 0:
            self.done.append(self.received[index].message)
