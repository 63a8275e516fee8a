"""What reconciling asks of the history. The command line gives a trigger something that can answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from processor.core.errors import HeadraceError


class HistoryBehind(HeadraceError):
    """The history does not yet know all runs that were accepted, so nobody can tell which objects have none."""

    remedy = "Start the dispatcher and the recorder, or wait until they have caught up; then reconcile again."


class ObjectRef(NamedTuple):
    """One content of one object, as its event has it."""

    source: str
    subject: str
    #: `content_mark`: what stands behind the dash of the event's id.
    mark: str


class KnownObjects(Protocol):
    async def caught_up(self) -> None:
        """Returns once `known` sees everything that had been accepted when this was called. Raises HistoryBehind."""

    async def known(self, function: str, objects: Collection[ObjectRef]) -> frozenset[ObjectRef]:
        """Those that have a run of this function. Raises HeadraceError when the history does not answer."""
