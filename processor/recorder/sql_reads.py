"""The read side, the same for every database: the statements differ, and how a read is begun."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager

import orjson

from processor.recorder import line_search
from processor.recorder.conditions import plain, run_conditions
from processor.recorder.document import RunDocument
from processor.recorder.fold import run_document
from processor.recorder.gaps import shown
from processor.recorder.projection import COUNTERS
from processor.recorder.queries import (
    MAX_PAGE,
    Activity,
    ActivityQuery,
    FoundPage,
    LinePage,
    LineQuery,
    LogLine,
    QueuedRuns,
    RunPage,
    RunQuery,
)
from processor.recorder.run_pages import look_for_page, read_page
from processor.recorder.session import Session
from processor.recorder.store import MAX_POSITION, HistoryStore
from processor.recorder.tallies import activities, widened, width_for
from processor.transport.abstract import TopicPartition

#: Pieces of log that are fetched at a time; each has a line at least.
_PIECES = 100
#: A piece of a chatty run has thousands of lines: reading a hundred for a page of one costs more than all else.
_FIRST_PIECES = 4


class SqlReads(HistoryStore):
    @abstractmethod
    def _reading(self) -> AbstractContextManager[Session]:
        """Raises HistoryUnavailable for whatever the database says meanwhile."""

    def get_run(self, request_id: str) -> RunDocument | None:
        with self._reading() as session:
            found = session.rows("get_run", {"request_id": plain(request_id)})
        return run_document(found[0]) if found else None

    def position(self, request_id: str) -> int | None:
        with self._reading() as session:
            found = session.rows("position", {"request_id": plain(request_id), "limit": MAX_POSITION})
        return found[0]["earlier"] + 1 if found and found[0]["earlier"] < MAX_POSITION else None

    def list_runs(self, query: RunQuery) -> RunPage:
        with self._reading() as session:
            conditions = run_conditions(query, session.sql)
            return (look_for_page if conditions.other else read_page)(session, query, conditions)

    def get_lines(
        self, request_id: str, *, delivery: str | None = None, after_seq: int = 0, limit: int = MAX_PAGE
    ) -> LinePage:
        with self._reading() as session:
            run = session.rows("get_run", {"request_id": plain(request_id)})
            name = delivery if not run or delivery is not None else run[0]["delivery"]
            if not run or name is None:
                return LinePage(name, [])
            lines: list[LogLine] = []
            for table in session.log_tables():
                last = lines[-1].seq if lines else after_seq
                lines += _lines_in(session, table, run[0]["id"], plain(name), last, limit - len(lines))
            return LinePage(name, shown(lines, after_seq))

    def search_lines(self, query: LineQuery) -> FoundPage:
        with self._reading() as session:
            return line_search.search(session, query)

    def activity(self, query: ActivityQuery) -> list[Activity]:
        since_ms, until_ms = widened(query)
        values = {
            "width_ms": width_for(query),
            "bucket_ms": query.bucket_ms,
            "since_ms": since_ms,
            "until_ms": until_ms,
            "function": None if query.function is None else plain(query.function),
        }
        with self._reading() as session:
            return activities(session.rows("activity", values))

    def queued(self) -> list[QueuedRuns]:
        with self._reading() as session:
            return [QueuedRuns(**row) for row in session.rows("queued")]

    def object_events(self, function: str, source: str, subjects: Collection[str]) -> Mapping[str, Collection[str]]:
        values = {"function": function, "source": source, "subjects": orjson.dumps(list(subjects)).decode()}
        found: dict[str, list[str]] = {}
        with self._reading() as session:
            for row in session.rows("object_events", values):
                found.setdefault(row["subject"], []).append(row["event_id"])
        return found

    def recorded(self) -> Mapping[TopicPartition, int]:
        with self._reading() as session:
            rows = session.rows("offsets")
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    def counters(self) -> Mapping[str, int]:
        with self._reading() as session:
            found = {row["name"]: row["value"] for row in session.rows("counters")}
        return {name: found.get(name, 0) for name in COUNTERS}

    def run_counts(self) -> Mapping[tuple[str, str], int]:
        with self._reading() as session:
            return {(row["function"], row["status"]): row["runs"] for row in session.rows("run_counts")}


def _lines_in(session: Session, table: str, run: int, delivery: str, after_seq: int, limit: int) -> list[LogLine]:
    found: list[LogLine] = []
    last, count = after_seq, _FIRST_PIECES
    while len(found) < limit:
        values = {"run": run, "delivery": delivery, "after": last, "limit": count}
        pieces = session.rows("get_lines", values, table=table)
        for piece in pieces:
            fresh = [LogLine(*line) for line in orjson.loads(piece["lines"]) if line[0] > last]
            found += fresh
            last = fresh[-1].seq if fresh else last
            if len(found) >= limit:
                break
        if len(pieces) < count:
            break
        count = _PIECES
    return found[:limit]
