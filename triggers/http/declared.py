"""Which paths the manifests name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from processor.core.function import Function
from triggers.http.routes import Template


def is_declared(functions: Iterable[Function], segments: Sequence[str]) -> bool:
    """Some function has a trigger for this path, although nobody serves it now: it is paused, disabled or just coming.
    Its callers have to come again; a 404 would be the end for many.
    """
    return any(
        path.count("/") == len(segments) and Template.of(path).fits(segments)
        for function in functions
        for entry in function.events
        for kind, settings in entry.items()
        for path in _paths(kind, settings)
    )


def is_called(kind: str, settings: Mapping[str, Any]) -> bool:
    """Its source sends requests to the listener."""
    return any(_paths(kind, settings))


def _paths(kind: str, settings: Mapping[str, Any]) -> Iterator[str]:
    if kind == "http":
        yield str(settings["path"])
    elif kind == "storage" and settings.get("source", {}).get("webhook"):
        yield str(settings["source"]["webhook"]["path"])
