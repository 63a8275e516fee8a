from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.recorder.conditions import Conditions
from processor.recorder.document import RunDocument
from processor.recorder.fold import run_document
from processor.recorder.queries import Place, RunPage, RunQuery
from processor.recorder.session import Deadline, Row, Session
from processor.recorder.walk import LOOK_SEC, NEWEST, Spot, Window, walk

#: Rows that one slice looks at: some ten milliseconds.
SLICE_ROWS = 5_000
_PIECE = 200


def read_page(session: Session, query: RunQuery, conditions: Conditions) -> RunPage:
    """Straight from an index, as far as the page goes."""
    place = _begin(query)
    values = {**conditions.values, "key": place.key, "row": place.row, "limit": query.limit + 1}
    rows = session.rows("list_runs", values, conditions=conditions.by_index)
    return RunPage(
        runs=[_listed(row) for row in rows[: query.limit]],
        cursor=_cursor(_spot(rows[query.limit - 1])) if len(rows) > query.limit else None,
    )


def look_for_page(session: Session, query: RunQuery, conditions: Conditions) -> RunPage:
    """Looks through rows until the page is full or the time is over."""
    deadline = Deadline(LOOK_SEC)
    runs: list[RunDocument] = []
    last = _begin(query)
    for spot, row in walk(_RunWindow(session, conditions), last, _PIECE):
        if len(runs) == query.limit and row is not None:
            return RunPage(runs=runs, cursor=_cursor(last), searched_to_ms=last.at_ms)
        last = spot
        if row is not None:
            runs.append(_listed(row))
        elif deadline.passed or len(runs) == query.limit:
            return RunPage(runs=runs, cursor=_cursor(spot), searched_to_ms=spot.at_ms)
    return RunPage(runs=runs, cursor=None)


class _RunWindow(Window[Row]):
    def __init__(self, session: Session, conditions: Conditions) -> None:
        self._session = session
        self._conditions = conditions

    def edge(self, before: Spot) -> Spot | None:
        values = {**self._conditions.values, "key": before.key, "row": before.row, "size": SLICE_ROWS - 1}
        rows = self._session.rows("run_edge", values, conditions=self._conditions.by_index)
        return Spot(rows[0]["key"], rows[0]["row"], rows[0]["at_ms"]) if rows else None

    def matches(self, before: Spot, edge: Spot | None, limit: int) -> list[tuple[Spot, Row]]:
        values: dict[str, Any] = {**self._conditions.values, "key": before.key, "row": before.row, "limit": limit}
        more = []
        if edge is not None:
            values |= {"edge_key": edge.key, "edge_row": edge.row}
            more.append(self._session.sql["run_above_edge"])
        rows = self._session.rows("list_runs", values, conditions=self._conditions.all(*more))
        return [(_spot(row), row) for row in rows]


def _begin(query: RunQuery) -> Spot:
    if query.cursor is None:
        return NEWEST
    place = Place.parse(query.cursor)
    return Spot(place.at_ms, place.row, place.at_ms)


def _spot(row: Mapping[str, Any]) -> Spot:
    return Spot(row["first_seen_ms"], row["id"], row["first_seen_ms"])


def _cursor(spot: Spot) -> str:
    return Place(spot.key, spot.row).cursor()


def _listed(row: Mapping[str, Any]) -> RunDocument:
    document = run_document(row)
    del document["result"]
    return document
