"""What only the history in SQLite has. What both have: tests/contract/history."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from processor.core.run import Status
from processor.recorder import sqlite
from processor.recorder.conditions import line_conditions, run_conditions
from processor.recorder.session import Row, Session
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.statements import load_migrations, load_statements
from processor.recorder.store import (
    ActivityQuery,
    HistoryTooNew,
    HistoryUnavailable,
    LineQuery,
    RunQuery,
)
from processor.transport.abstract import TopicPartition
from tests.history_records import AT, DAY_MS, TODAY_MS, accepted, batch, ended, ids, lines, rid, started

HOUR_MS = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteHistoryStore]:
    store = SqliteHistoryStore(tmp_path / "history.db")
    store.open_for_writing()
    yield store
    store.close()


def plan_of(path: Path, statement: str, values: Mapping[str, Any]) -> str:
    reader = sqlite3.connect(path)
    plan = " ".join(row[3] for row in reader.execute(f"EXPLAIN QUERY PLAN {statement}", values))
    reader.close()
    return plan


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["list_runs", "run_edge"])
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (RunQuery(status=Status.FAILED), "runs_unfinished"),
        (RunQuery(status_code=433), "runs_unfinished"),
        (RunQuery(function="a", since_ms=5), "runs_by_function"),
        (RunQuery(text="a", until_ms=7), "runs_by_time"),
    ],
)
def test_runs_are_read_from_an_index(query: RunQuery, index: str, name: str, tmp_path: Path) -> None:
    sql = load_statements("sqlite")
    conditions = run_conditions(query, sql)
    values = {**conditions.values, "key": 1, "row": 2, "limit": 3, "size": 4}
    plan = plan_of(tmp_path / "history.db", sql[name].format(conditions=conditions.all()), values)
    assert f"INDEX {index} " in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (LineQuery(text="a"), "by_time"),
        (LineQuery(function="a", since_ms=4, until_ms=5), "by_function"),
        (LineQuery(level="ERROR", function="a"), "by_level"),
        (LineQuery(level="INFO", function="a"), "by_function"),
    ],
)
def test_lines_are_searched_along_an_index(
    store: SqliteHistoryStore, query: LineQuery, index: str, tmp_path: Path
) -> None:
    store.apply(batch(lines(1, 1, 1)), AT)
    sql = load_statements("sqlite")
    conditions = line_conditions(query, sql, None)
    statement = sql["line_edge"].format(table="logs_20261124", key="at_ms", conditions=conditions.by_index)
    plan = plan_of(tmp_path / "history.db", statement, {**conditions.values, "key": 1, "row": 2, "size": 3})
    assert f"INDEX logs_20261124_{index} " in plan
    assert "TEMP B-TREE" not in plan


def test_a_history_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    reader = SqliteHistoryStore(tmp_path / "nowhere.db")
    with pytest.raises(
        HistoryUnavailable, match=r"^the history database could not be read: unable to open database file$"
    ):
        reader.get_run(rid(1))
    assert reader.schema_version() == 0


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    store = SqliteHistoryStore(path)
    with pytest.raises(HistoryTooNew, match=r"history\.db has schema 99; this version of Headrace knows \d+$"):
        store.open_for_writing()
    assert store.schema_version() == 99
    store.close()


LOG_DAY_OF_VERSION_3 = """
CREATE TABLE logs_20261124 (
    id INTEGER PRIMARY KEY, run INTEGER NOT NULL, delivery TEXT NOT NULL, seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, lines TEXT NOT NULL
);
CREATE UNIQUE INDEX logs_20261124_by_run ON logs_20261124 (run, delivery, seq);
INSERT INTO logs_20261124 SELECT id, id, delivery, 1, 2,
    '[[1,"log","ERROR",1795478400005,"it broke"],[2,"stdout",null,1795478400006,"done"]]' FROM runs;
"""


def test_a_history_of_an_earlier_version_keeps_its_runs_and_its_lines_can_be_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.db"
    with monkeypatch.context() as earlier:
        earlier.setattr(sqlite, "load_migrations", lambda dialect: load_migrations(dialect)[:3])
        store = SqliteHistoryStore(path)
        store.open_for_writing()
        store.close()
    old = sqlite3.connect(path)
    old.execute(
        "INSERT INTO runs (id, request_id, function, status, first_seen_ms, deliveries, delivery, void_verdicts)"
        " VALUES (1, ?, 'resize', 'RUNNING', ?, 1, 'queue.resize.1/0/1', 0)",
        (rid(1), TODAY_MS),
    )
    old.executescript(LOG_DAY_OF_VERSION_3)
    old.close()
    store = SqliteHistoryStore(path)
    store.open_for_writing()
    store.apply(batch(accepted(1), started(1), ended(1), lines(1, 3, 3)), AT)
    assert [each.line.seq for each in store.search_lines(LineQuery(function="resize")).lines] == [2, 1, 3]
    assert [each.line.text for each in store.search_lines(LineQuery(level="ERROR")).lines] == ["it broke"]
    query = ActivityQuery(since_ms=TODAY_MS, until_ms=TODAY_MS + 1, bucket_ms=HOUR_MS)
    assert [(each.accepted, each.ended) for each in store.activity(query)] == [({"FINISHED": 1}, {"FINISHED": 1})]
    store.close()


def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(store: SqliteHistoryStore) -> None:
    store.apply(batch(accepted(1)), AT)
    writer = store._connection()
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages + 1}")
    much = batch(*(accepted(n) for n in range(2, 2_000)))
    with pytest.raises(
        HistoryUnavailable, match=r"^the history database could not be written: database or disk is full$"
    ):
        store.apply(much, {TopicPartition("runs", 0): 9})
    assert store.offsets() == AT
    writer.execute("PRAGMA max_page_count = 1000000")
    store.apply(much, {TopicPartition("runs", 0): 9})
    assert len(ids(store, RunQuery(limit=1_000))) == 1_000
    assert store.offsets() == {TopicPartition("runs", 0): 9}


def test_tables_of_old_days_are_gone_after_them(store: SqliteHistoryStore, tmp_path: Path) -> None:
    for days in (8, 7, 0):
        store.apply(batch(lines(1, 1, 1, at_ms=TODAY_MS - days * DAY_MS)), AT)
    store.expire(TODAY_MS)
    reader = sqlite3.connect(tmp_path / "history.db")
    tables = {name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE name GLOB 'logs_*[0-9]'")}
    reader.close()
    assert tables == {"logs_20261117", "logs_20261124"}


class ExpiresBefore(Session):
    """A read during which a recorder expires a day, just before the lines are read."""

    def __init__(self, session: Session, store: SqliteHistoryStore) -> None:
        self._session = session
        self._store = store
        self.sql = session.sql

    def rows(self, name: str, values: Mapping[str, Any] = {}, **parts: str) -> Sequence[Row]:
        if name == "get_lines":
            self._store.expire(TODAY_MS + 40 * DAY_MS)
        return self._session.rows(name, values, **parts)

    def log_tables(self) -> Sequence[str]:
        return self._session.log_tables()


def test_a_day_that_is_dropped_between_two_statements_of_a_reader_is_still_read(
    store: SqliteHistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.apply(batch(accepted(1), lines(1, 1, 3)), AT)
    plain = sqlite.SqliteSession
    monkeypatch.setattr(sqlite, "SqliteSession", lambda *given: ExpiresBefore(plain(*given), store))
    assert [each.seq for each in store.get_lines(rid(1)).lines] == [1, 2, 3]
    assert store.get_lines(rid(1)).lines == []


KILLED = """
import sys
from pathlib import Path
from tests.history_records import accepted, batch, lines
from processor.recorder.sqlite import SqliteHistoryStore
from processor.transport.abstract import TopicPartition
store = SqliteHistoryStore(Path(sys.argv[1]))
store.open_for_writing()
number = store.offsets().get(TopicPartition("runs", 0), 0)
while True:
    store.apply(batch(accepted(number), lines(number, 1, 2)), {TopicPartition("runs", 0): number + 1})
    number += 1
    print(number, flush=True)
"""


def test_a_killed_recorder_has_written_exactly_what_its_offsets_say(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(50):
                process.stdout.readline()
            process.kill()
    store = SqliteHistoryStore(path)
    store.open_for_writing()
    written = store.offsets()[TopicPartition("runs", 0)]
    assert written >= 150
    assert set(ids(store, RunQuery(limit=1_000))) == {rid(n) for n in range(written)}
    assert all(len(store.get_lines(rid(n)).lines) == 2 for n in range(written))
    store.close()
