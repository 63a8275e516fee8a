from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from processor.core.failpoints import failpoint
from processor.recorder.batch import Batch, LogChunk
from processor.recorder.connections import Readers, open_writer, transaction
from processor.recorder.errors import HistoryTooNew, HistoryUnavailable
from processor.recorder.fold import RunFold
from processor.recorder.projection import Changes, StoredRun, project, restored, runs_of
from processor.recorder.retention import Retention
from processor.recorder.session import Row, Session
from processor.recorder.sql_reads import SqlReads
from processor.recorder.statements import load_migrations, load_statements, read_sql, split
from processor.recorder.tallies import WIDTHS_MS
from processor.transport.abstract import TopicPartition

#: Rows of one delete: 5,000 hold the write lock for some ten milliseconds.
_DELETE_ROWS = 5_000
_DAY_MS = 86_400_000


class SqliteHistoryStore(SqlReads):
    """The history in one SQLite file in WAL mode: one writing connection, any number of readers, also of other
    processes. Space of deleted days is used again; the file itself does not shrink.
    """

    def __init__(self, path: Path, *, log_days: int = 7, run_days: int = 30) -> None:
        self._path = path
        self._retention = Retention(log_days=log_days, run_days=run_days)
        self._sql = load_statements("sqlite")
        self._readers = Readers(path)
        self._writer: sqlite3.Connection | None = None
        #: Day tables that are known to be there.
        self._log_tables: set[str] = set()

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def place(self) -> str:
        return str(self._path)

    @property
    def known_version(self) -> int:
        return load_migrations("sqlite")[-1].number

    def schema_version(self) -> int:
        if not self._path.exists():
            return 0
        with self._readers.lend() as connection:
            return _version(connection)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Session]:
        with self._readers.lend() as connection:
            yield SqliteSession(connection, self._sql)

    # ------------------------------------------------------------------------------------------------- writing

    def open_for_writing(self) -> None:
        with _writing():
            if self._writer is not None:
                self._writer.close()
            self._writer = open_writer(self._path)
            _migrate(self._writer, self._path)
            self._log_tables.clear()

    def offsets(self) -> Mapping[TopicPartition, int]:
        with _writing():
            rows = self._connection().execute(self._sql["offsets"]).fetchall()
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    def apply(self, batch: Batch, offsets: Mapping[TopicPartition, int]) -> None:
        connection = self._connection()
        try:
            with _writing(), transaction(connection):
                # Asked for each time: beside a draining recorder its successor writes already, and a number that both
                # give away would put the one's run in the place of the other's.
                (last_row,) = connection.execute(self._sql["last_row"]).fetchone()
                self._save(project(batch, self._load(batch), itertools.count(last_row + 1)))
                rows = [(*partition, offset) for partition, offset in offsets.items()]
                connection.executemany(self._sql["set_offset"], rows)
                failpoint("recorder.commit.before")
        except BaseException:
            self._log_tables.clear()  # one that was made in the transaction is gone again
            raise

    def expire(self, now_ms: int) -> bool:
        oldest = _log_table(self._retention.logs_before_ms(now_ms))
        before_ms = self._retention.runs_before_ms(now_ms)
        connection = self._connection()
        with _writing(), transaction(connection):
            for table in _tables(connection, self._sql):
                if table < oldest:
                    connection.execute(f"DROP TABLE {table}")
                    self._log_tables.discard(table)
            values = {"before": before_ms, "limit": _DELETE_ROWS}
            deleted = connection.execute(self._sql["expire_runs"], values).rowcount
            for width in WIDTHS_MS:
                connection.execute(self._sql["expire_tallies"], {"width": width, "before": before_ms})
        return deleted == _DELETE_ROWS

    def close(self) -> None:
        self._readers.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    # ------------------------------------------------------------------------------------------ steps of `apply`

    def _connection(self) -> sqlite3.Connection:
        if self._writer is None:
            raise HistoryUnavailable("the history is not open for writing")
        return self._writer

    def _load(self, batch: Batch) -> dict[str, RunFold]:
        ids = orjson.dumps(list(runs_of(batch))).decode()
        return restored(map(StoredRun._make, self._connection().execute(self._sql["load_runs"], (ids,))))

    def _save(self, changes: Changes) -> None:
        connection = self._connection()
        self._insert_chunks(changes.chunks)
        connection.executemany(self._sql["upsert_run"], map(_row, changes.runs))
        tallies = [(*tally, runs) for tally, runs in changes.tallies.items() if runs]
        connection.executemany(self._sql["add_to_tally"], tallies)
        connection.executemany(self._sql["add_to_counter"], changes.counters.items())

    def _insert_chunks(self, chunks: Iterable[tuple[int, LogChunk]]) -> None:
        days: dict[int, list[tuple[object, ...]]] = {}
        for run, chunk in chunks:
            row = (
                run,
                chunk.delivery,
                chunk.first_seq,
                chunk.last_seq,
                chunk.lines.decode(),
                chunk.function,
                chunk.timestamp_ms,
                chunk.worst,
            )
            days.setdefault(chunk.timestamp_ms // _DAY_MS, []).append(row)
        for day, rows in days.items():
            table = self._ready_table(_log_table(day * _DAY_MS))
            self._connection().executemany(self._sql["insert_chunk"].format(table=table), rows)

    def _ready_table(self, table: str) -> str:
        if table not in self._log_tables:
            for statement in split(read_sql("sqlite", "log_day.sql")):
                self._connection().execute(statement.format(table=table))
            self._log_tables.add(table)
        return table


class SqliteSession(Session):
    def __init__(self, connection: sqlite3.Connection, sql: Mapping[str, str]) -> None:
        self._connection = connection
        self.sql = sql

    def rows(self, name: str, values: Mapping[str, Any] = {}, **parts: str) -> Sequence[Row]:
        statement = self.sql[name].format(**parts) if parts else self.sql[name]
        cursor = self._connection.execute(statement, values)
        names = [each[0] for each in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def log_tables(self) -> Sequence[str]:
        return _tables(self._connection, self.sql)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise HistoryUnavailable(f"the history database could not be written: {error}") from error


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """One transaction for each step, that looks again where it stands: of two that start at once one waits."""
    migrations = load_migrations("sqlite")
    if _version(connection) > migrations[-1].number:
        raise HistoryTooNew(str(path), _version(connection), migrations[-1].number)
    for migration in migrations[_version(connection) :]:
        with transaction(connection):
            if _version(connection) < migration.number:
                tables = _tables(connection, load_statements("sqlite")) if migration.each_day else [""]
                for table, statement in itertools.product(tables, migration.statements):
                    connection.execute(statement.format(table=table) if table else statement)
                connection.execute(f"PRAGMA user_version = {migration.number}")


def _tables(connection: sqlite3.Connection, sql: Mapping[str, str]) -> list[str]:
    return [name for (name,) in connection.execute(sql["log_tables"]).fetchall()]


def _log_table(unix_ms: int) -> str:
    return f"logs_{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y%m%d}"


def _row(run: RunFold) -> tuple[object, ...]:
    shown = run.shown
    older = run.older()
    return (
        run.row,
        run.request_id,
        run.function,
        run.status.value,
        run.first_seen_ms,
        run.ended_at_ms,
        len(run.deliveries),
        shown and shown.name,
        run.accepted,
        shown and shown.started,
        shown and shown.verdict,
        shown.state.void_verdicts if shown else 0,
        older and older.decode(),
        run.progress,
    )
