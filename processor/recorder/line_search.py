from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from processor.recorder.conditions import Conditions, line_conditions, plain
from processor.recorder.queries import FoundLine, FoundPage, LinePlace, LineQuery, LogLine, level_number
from processor.recorder.session import Deadline, Row, Session
from processor.recorder.walk import LOOK_SEC, NEWEST, Spot, Window, walk

#: Pieces of log that one slice looks at, of some lines each: some ten milliseconds.
SLICE_ROWS = 2_000
_PIECE = 100


def search(session: Session, query: LineQuery) -> FoundPage:
    """Looks through the log, newest first, until the page is full or the time is over."""
    run = None
    if query.request_id is not None:
        run = _run_of(session, query)
        if run is None:
            return FoundPage(lines=[], cursor=None, searched_to_ms=None)
    return _Search(session, query, run).page()


def _run_of(session: Session, query: LineQuery) -> dict[str, Any] | None:
    found = session.rows("get_run", {"request_id": plain(query.request_id or "")})
    delivery = query.delivery if query.delivery is not None else found and found[0]["delivery"]
    return {"run": found[0]["id"], "delivery": plain(delivery)} if found and delivery else None


class _Hit(NamedTuple):
    place: LinePlace
    row: Row
    line: LogLine


class _Search:
    def __init__(self, session: Session, query: LineQuery, run: dict[str, Any] | None) -> None:
        self._session = session
        self._query = query
        self._conditions = line_conditions(query, session.sql, run)
        #: The lines of one run lie in order of seq, all others in the order in which they came in.
        self._key = "at_ms" if run is None else "seq"
        self._level = 0 if query.level is None else level_number(query.level)
        self._text = None if query.text is None else plain(query.text).casefold()
        self._names: dict[int, str] = {}

    def page(self) -> FoundPage:
        deadline = Deadline(LOOK_SEC)
        begin = LinePlace(*NEWEST[:2], 0) if self._query.cursor is None else LinePlace.parse(self._query.cursor)
        hits: list[_Hit] = []
        for spot, row in self._walk(begin):
            if row is None:
                if deadline.passed or len(hits) == self._query.limit:
                    return self._page(hits, LinePlace(spot.key, spot.row, 0), spot.at_ms)
                continue
            for line in self._lines(row, begin):
                if len(hits) == self._query.limit:
                    return self._page(hits, hits[-1].place, hits[-1].row["at_ms"])
                hits.append(_Hit(LinePlace(spot.key, spot.row, line.seq), row, line))
        return self._page(hits, None, None)

    def _walk(self, begin: LinePlace) -> Iterator[tuple[Spot, Row | None]]:
        # One more than the row itself: its lines before begin.seq have not been looked at.
        before = Spot(begin.key, begin.row + (begin.seq > 0), begin.key)
        for table in reversed(self._session.log_tables()):
            yield from walk(_LineWindow(self._session, self._conditions, table, self._key), before, _PIECE)

    def _lines(self, row: Row, begin: LinePlace) -> Iterator[LogLine]:
        """Those of a piece that match, the newest first."""
        cut = begin.seq if (row["key"], row["row"]) == (begin.key, begin.row) else None
        for entry in reversed(orjson.loads(row["lines"])):
            line = LogLine(*entry)
            if (cut is None or line.seq < cut) and self._matches(line):
                yield line

    def _matches(self, line: LogLine) -> bool:
        query = self._query
        return (
            (not self._level or level_number(line.level) >= self._level)
            and (query.since_ms is None or line.unix_ms >= query.since_ms)
            and (query.until_ms is None or line.unix_ms < query.until_ms)
            and (self._text is None or self._text in line.text.casefold())
        )

    def _page(self, hits: list[_Hit], place: LinePlace | None, searched_to_ms: int | None) -> FoundPage:
        names = self._names_of({row["run"] for _, row, _ in hits})
        lines = {
            # A piece that came in twice is shown once.
            (row["run"], row["delivery"], line.seq): FoundLine(
                names[row["run"]], row["function"], row["delivery"], line
            )
            for _, row, line in hits
            if row["run"] in names  # a run may expire before its lines
        }
        return FoundPage(
            lines=list(lines.values()),
            cursor=None if place is None else place.cursor(),
            searched_to_ms=searched_to_ms,
        )

    def _names_of(self, rows: set[int]) -> dict[int, str]:
        values = {"rows": orjson.dumps(list(rows)).decode()}
        return {each["id"]: each["request_id"] for each in self._session.rows("names_of_runs", values)} if rows else {}


class _LineWindow(Window[Row]):
    def __init__(self, session: Session, conditions: Conditions, table: str, key: str) -> None:
        self._session = session
        self._conditions = conditions
        self._parts = {"table": table, "key": key}

    def edge(self, before: Spot) -> Spot | None:
        values = {**self._conditions.values, "key": before.key, "row": before.row, "size": SLICE_ROWS - 1}
        rows = self._session.rows("line_edge", values, conditions=self._conditions.by_index, **self._parts)
        return Spot(rows[0]["key"], rows[0]["row"], rows[0]["at_ms"]) if rows else None

    def matches(self, before: Spot, edge: Spot | None, limit: int) -> list[tuple[Spot, Row]]:
        values: dict[str, Any] = {**self._conditions.values, "key": before.key, "row": before.row, "limit": limit}
        more = []
        if edge is not None:
            values |= {"edge_key": edge.key, "edge_row": edge.row}
            more.append(self._session.sql["lines_above_edge"].format(**self._parts))
        rows = self._session.rows("find_lines", values, conditions=self._conditions.all(*more), **self._parts)
        return [(Spot(row["key"], row["row"], row["at_ms"]), row) for row in rows]
