"""What every trigger adapter is: it watches one source for one function, and accepts an event for what happens there.

The host calls an adapter on its event loop and on no other thread. An adapter acknowledges its source (commits an
offset, deletes a message, writes its marker) only after `Acceptor.accept_when_admitted` has returned; after NotAccepted
it sends the same event with the same identity again. A broken source is a state with a remedy, never an exception that
leaves `run`, as long as the adapter can hope to recover by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from processor.core.errors import HeadraceError
from processor.core.trigger_records import trigger_id
from processor.dispatcher.accept import Receipt


class NotFirable(HeadraceError):
    """This kind of trigger cannot be fired by hand."""

    remedy = "Send an event of your own: `headrace invoke FUNCTION`."


class TriggerState(Enum):
    STARTING = "starting"
    WATCHING = "watching"  # what happens at the source becomes an event
    WAITING = "waiting"  # the source is not there; goes on by itself once it is
    PAUSED = "paused"  # somebody paused it; `triggers.paused` says what becomes of what happens meanwhile
    FAILED = "failed"  # it ended with an error; the host starts it again after a pause
    STOPPED = "stopped"
    UNSUPPORTED = "unsupported"  # no adapter for this kind in this version


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    state: TriggerState
    #: Why, when it is not watching; and what a person can do about it.
    reason: str = ""
    remedy: str = ""
    #: Events accepted since the start.
    accepted: int = 0
    #: What could not be an event since the start; it is on `rejected`.
    rejected: int = 0
    #: When the last event was accepted, Unix milliseconds.
    last_event_ms: int | None = None
    #: What is still to come at the source, where it can tell: records behind, messages waiting.
    lag: int | None = None
    #: The next nominal times of a schedule, RFC 3339, soonest first.
    upcoming: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """One entry of a function's `events`."""

    function: str
    #: Which creation of the function's name.
    creation: int
    kind: str
    settings: Mapping[str, Any]

    @property
    def event_format(self) -> str:
        """The shape the handler gets: "cloudevents", "data", "scf" or "aws"."""
        return str(self.settings.get("event_format", "cloudevents"))

    @property
    def trigger_id(self) -> str:
        """Names it for people and on the `triggers` topic; the same as long as its settings are."""
        return trigger_id(self.function, self.kind, self.settings)

    def __str__(self) -> str:
        return f"{self.kind} of {self.function}"


class Trigger(ABC):
    """One adapter of one binding. `run` is called once."""

    @abstractmethod
    async def run(self) -> None:
        """Watches until it is cancelled; lets go of everything before it ends. Anything it raises makes the host start
        another one after a pause.
        """

    @property
    @abstractmethod
    def health(self) -> Health: ...

    async def fire(self) -> list[Receipt]:
        """Asked for by a person: a schedule fires now, a storage trigger reconciles its bucket now. Returns what was
        accepted; the source's own events come as they come. Raises NotFirable.
        """
        raise NotFirable


class MissingSources(Protocol):
    """Remembers, beyond the life of every process, which triggers have found that their source does not exist (yet, or
    any more). Whatever is in such a source later came after that, and is not to be left out as something old.
    """

    def was_missing(self, trigger: str) -> bool: ...

    async def note_missing(self, trigger: str) -> None:
        """Tries to; to be called again, as long as the source is missing, until `was_missing` says so."""

    async def forget_missing(self, trigger: str) -> None:
        """Where the source is read from stands elsewhere now. Tries to; to be called again later if it did not."""


#: Makes the adapter of a binding; quick, touches nothing outside. May raise HeadraceError for settings it cannot serve.
AdapterFactory = Callable[[Binding], Trigger]
