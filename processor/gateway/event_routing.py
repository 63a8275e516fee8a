"""Which functions a CloudEvent is for: the one it names, or those whose triggers want it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.function import Function
from processor.http.once import Door

#: The kind in the manifest's `events`, and what the runs of these events show as their trigger.
KIND = "cloudevents"
AS_CLOUDEVENT = "cloudevents"


class Unrouted(HeadraceError):
    """No function wants the event."""

    remedy = "Name one in the extension attribute `function`, or give it a trigger: `- cloudevents: {type: ...}`."

    def __init__(self, event: Event) -> None:
        super().__init__(f"no function takes events of type {event.type!r} from source {event.source!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """One `cloudevents` trigger: the events that a function wants."""

    function: str
    type: str
    source: str
    event_format: str

    def wants(self, event: Event) -> bool:
        return fnmatchcase(event.type, self.type) and fnmatchcase(event.source, self.source)


def wishes_of(functions: Iterable[Function]) -> list[Wish]:
    """Of the enabled functions."""
    return [
        Wish(
            function=function.name,
            type=str(settings.get("type", "*")),
            source=str(settings.get("source", "*")),
            event_format=str(settings.get("event_format", AS_CLOUDEVENT)),
        )
        for function in functions
        if function.enabled
        for entry in function.events
        for kind, settings in entry.items()
        if kind == KIND
    ]


def doors_of(event: Event, wishes: Sequence[Wish]) -> list[Door]:
    """One for each function; a function that the event names needs no trigger. Empty: nobody wants it."""
    named = event.function
    formats: dict[str, str] = {}
    for wish in wishes:
        if named in (None, wish.function) and wish.function not in formats and wish.wants(event):
            formats[wish.function] = wish.event_format
    if named is not None:
        formats.setdefault(named, AS_CLOUDEVENT)
    return [Door(function=name, trigger=KIND, event_format=event_format) for name, event_format in formats.items()]
