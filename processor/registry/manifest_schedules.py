"""Schedules of one function that could not be told apart: what one of them fires is taken for what the other fired."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.cron import name_of
from processor.registry.problems import Path, Problem


def same_schedules(path: Path, events: object) -> list[Problem]:
    """path: of the function. events: as they stand in the document, in whatever shape."""
    first: dict[str, int] = {}
    problems: list[Problem] = []
    for index, name, has_name in _named(events):
        if name not in first:
            first[name] = index
            continue
        same = "the name" if has_name else "the times"
        message = f"has {same} of events[{first[name]}], so the two could not be told apart"
        remedy = "give each of them a `name` of its own"
        problems.append(Problem(path=(*path, "events", index, "schedule"), message=message, remedy=remedy))
    return problems


def _named(events: object) -> Iterator[tuple[int, str, bool]]:
    """Index, and the name that the schedule has or is given. What has not the shape of one is reported elsewhere."""
    for index, event in enumerate(events if isinstance(events, list) else ()):
        settings = event.get("schedule") if isinstance(event, dict) else None
        if not isinstance(settings, dict):
            continue
        name, cron = settings.get("name"), settings.get("cron")
        if isinstance(name, str):
            yield index, name, True
        elif isinstance(cron, str):
            yield index, name_of(cron, str(settings.get("timezone", "UTC"))), False
