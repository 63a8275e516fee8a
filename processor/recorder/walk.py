"""Looking through rows that no index narrows, from the newest to the oldest, in slices: the caller sees after each how
far it has come, and may stop there. A single statement over millions of rows could only be cut off, with nothing to
show for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

Row = TypeVar("Row")
#: What one request may take; the rest is for the next, which goes on from there.
LOOK_SEC = 1.0


class Spot(NamedTuple):
    """A row's place in the order, newest first: before it are those with a smaller (key, row)."""

    key: int
    row: int
    #: When its row came in.
    at_ms: int


#: After every row.
NEWEST = Spot(2**63 - 1, 2**63 - 1, 2**63 - 1)


class Window(ABC, Generic[Row]):
    @abstractmethod
    def edge(self, before: Spot) -> Spot | None:
        """Where a slice of a fixed number of rows ends that begins at `before`; None: fewer are left. Reads an index
        only.
        """

    @abstractmethod
    def matches(self, before: Spot, edge: Spot | None, limit: int) -> list[tuple[Spot, Row]]:
        """Of the rows before `before`, down to the edge and with it: the newest that match."""


def walk(window: Window[Row], before: Spot, piece: int) -> Iterator[tuple[Spot, Row | None]]:
    """Every match with its place, and (edge, None) after each slice that is done. piece: matches read at a time."""
    while True:
        edge = window.edge(before)
        while True:
            found = window.matches(before, edge, piece)
            yield from found
            if len(found) < piece:
                break
            before = found[-1][0]
        if edge is None:
            return
        before = edge
        yield edge, None
