from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from processor.recorder.session import Session
from processor.recorder.sql_reads import _lines_in

#: As a run makes that prints without end: a piece has thousands of lines.
PIECE, PIECES = 4_000, 250


class Chatty:
    """A table with the pieces of one run; counts those that are fetched."""

    def __init__(self) -> None:
        self.fetched = 0

    def rows(self, name: str, values: Mapping[str, Any], *, table: str) -> Sequence[Mapping[str, Any]]:
        first = max(values["after"] - 1, 0) // PIECE
        found = [
            {
                "lines": orjson.dumps(
                    [(seq, "stdout", None, 0, "x") for seq in range(n * PIECE + 1, (n + 1) * PIECE + 1)]
                )
            }
            for n in range(first, min(first + values["limit"], PIECES))
        ]
        self.fetched += len(found)
        return found


def test_a_page_of_a_chatty_run_costs_no_more_than_a_few_pieces() -> None:
    table = Chatty()
    lines = _lines_in(cast(Session, table), "logs", 1, "q", 0, 1_000)
    assert [lines[0].seq, lines[-1].seq, len(lines)] == [1, 1_000, 1_000]
    lines = _lines_in(cast(Session, table), "logs", 1, "q", 499_500, 1_000)
    assert [lines[0].seq, lines[-1].seq, len(lines)] == [499_501, 500_500, 1_000]
    assert table.fetched <= 8
