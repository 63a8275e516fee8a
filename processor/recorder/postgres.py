from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import psycopg

from processor.core.failpoints import failpoint
from processor.recorder.batch import Batch, LogChunk
from processor.recorder.errors import HistoryTooNew, HistoryUnavailable
from processor.recorder.fold import RunFold
from processor.recorder.postgres_connections import (
    WRITE_LIMIT_SEC,
    Address,
    LimitedConnection,
    Readers,
    prepared,
    said,
)
from processor.recorder.postgres_partitions import LOG_LINES, RUNS, Partitions
from processor.recorder.postgres_rows import name_of, object_key, run_row
from processor.recorder.projection import Changes, StoredRun, project, restored, runs_of
from processor.recorder.retention import Retention
from processor.recorder.session import Session
from processor.recorder.sql_reads import SqlReads
from processor.recorder.statements import load_migrations, load_statements
from processor.recorder.tallies import WIDTHS_MS, Tally
from processor.transport.abstract import TopicPartition

log = logging.getLogger(__name__)

#: Of all advisory locks of the database, ours: "headrace" as a number, one for writing, one for migrations.
_WRITE_LOCK = 0x6865616472616365
_MIGRATE_LOCK = _WRITE_LOCK + 1
#: Dropping a day waits no longer for readers: those that come meanwhile wait behind it.
_DROP_WAIT_MS = 2_000


class PostgresHistoryStore(SqlReads):
    """The history in a PostgreSQL database, for roles on several hosts. An advisory lock lets one writer in at a time,
    so a recorder may be replaced while it drains.
    """

    def __init__(self, url: str, *, log_days: int = 7, run_days: int = 30) -> None:
        """url: postgresql://..., with all parameters that libpq knows. Raises HistoryAddressInvalid."""
        self._address = Address(url)
        self._retention = Retention(log_days=log_days, run_days=run_days)
        self._sql = {name: prepared(text) for name, text in load_statements("postgres").items()}
        self._readers = Readers(self._address)
        self._writer: LimitedConnection | None = None
        self._partitions: Partitions | None = None

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def place(self) -> str:
        return str(self._address)

    @property
    def known_version(self) -> int:
        return load_migrations("postgres")[-1].number

    def schema_version(self) -> int:
        with self._readers.lend() as session:
            return int(session.rows("schema_version")[0]["version"]) if session.rows("has_schema")[0]["here"] else 0

    def _reading(self) -> AbstractContextManager[Session]:
        return self._readers.lend()

    def object_events(self, function: str, source: str, subjects: Collection[str]) -> Mapping[str, Collection[str]]:
        keys = {object_key(source, subject): subject for subject in subjects}
        found: dict[str, list[str]] = {}
        with self._reading() as session:
            for row in session.rows("object_events", {"function": name_of(function), "keys": list(keys)}):
                found.setdefault(keys[row["object_key"]], []).append(row["event_id"])
        return found

    # ------------------------------------------------------------------------------------------------- writing

    def open_for_writing(self) -> None:
        with _writing():
            self._close_writer()
            self._writer = self._address.connect(limit_sec=WRITE_LIMIT_SEC, application="headrace recorder")
            _migrate(self._writer, self.place)
            # As with SQLite: after a power failure the last transactions may be gone, together with their offsets.
            self._writer.execute("SET synchronous_commit = off")
            self._writer.execute(self._sql["staged_lines"])
            self._partitions = Partitions(self._writer)

    def offsets(self) -> Mapping[TopicPartition, int]:
        with _writing():
            rows = self._connection().execute(self._sql["offsets"]).fetchall()
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    def apply(self, batch: Batch, offsets: Mapping[TopicPartition, int]) -> None:
        with self._one_writer() as (_, partitions):
            runs = self._load(batch)
            changes = project(batch, runs, self._numbers(len(runs_of(batch)) - len(runs)))
            self._save_runs(partitions, changes.runs)
            self._save_chunks(partitions, changes.chunks)
            self._save_tallies(changes)
            self._execute_each("add_to_counter", [{"name": name, "value": n} for name, n in changes.counters.items()])
            rows = [{**partition._asdict(), "next_offset": offset} for partition, offset in offsets.items()]
            self._execute_each("set_offset", rows)
            failpoint("recorder.commit.before")

    def expire(self, now_ms: int) -> bool:
        before_ms = self._retention.runs_before_ms(now_ms)
        try:
            # Each in a transaction of its own: readers that have one of the tables may be waiting for the other.
            with self._dropping() as (_, partitions):
                partitions.drop_log_lines(self._retention.logs_before_ms(now_ms))
            with self._dropping() as (connection, partitions):
                partitions.drop_runs(before_ms)
                connection.execute(self._sql["expire_tallies"], {"widths": list(WIDTHS_MS), "before_ms": before_ms})
        except HistoryUnavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            log.warning("old days stay for now: somebody reads them", extra={"action": "expire_put_off"})
        return False

    def close(self) -> None:
        self._readers.close()
        self._close_writer()

    # ------------------------------------------------------------------------------------------ steps of `apply`

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._partitions = None

    def _connection(self) -> LimitedConnection:
        if self._writer is None:
            raise HistoryUnavailable("the history is not open for writing")
        return self._writer

    @contextlib.contextmanager
    def _one_writer(self) -> Iterator[tuple[LimitedConnection, Partitions]]:
        """One transaction, with every other writer shut out: what it has read stays true."""
        connection, partitions = self._connection(), self._partitions
        assert partitions is not None
        try:
            with _writing(), connection.transaction():
                connection.execute(self._sql["one_writer"], {"key": _WRITE_LOCK})
                yield connection, partitions
        except BaseException:
            partitions.forget()  # one that was made in the transaction is gone again
            raise

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[tuple[LimitedConnection, Partitions]]:
        with self._one_writer() as (connection, partitions):
            connection.execute(f"SET LOCAL lock_timeout = {_DROP_WAIT_MS}")
            yield connection, partitions

    def _load(self, batch: Batch) -> dict[str, RunFold]:
        rows = self._connection().execute(self._sql["load_runs"], {"ids": list(runs_of(batch))}, prepare=False)
        return restored(map(StoredRun._make, rows))

    def _numbers(self, count: int) -> Iterator[int]:
        rows = self._connection().execute(self._sql["take_numbers"], {"count": count}).fetchall() if count else []
        return (number for (number,) in rows)

    def _save_runs(self, partitions: Partitions, runs: list[RunFold]) -> None:
        stored = {run.request_id: run.stored_ms for run in runs if run.stored_ms is not None}
        if stored:
            times = stored.values()
            values = {"ids": list(stored), "first_ms": min(times), "last_ms": max(times)}
            self._connection().execute(self._sql["forget_runs"], values, prepare=False)
        if runs:
            partitions.ready(RUNS, (run.first_seen_ms for run in runs))
            self._copy("copy_runs", map(run_row, runs))

    def _save_chunks(self, partitions: Partitions, chunks: list[tuple[int, LogChunk]]) -> None:
        if chunks:
            partitions.ready(LOG_LINES, (chunk.timestamp_ms for _, chunk in chunks))
            self._copy("copy_lines", (_chunk_row(run, chunk) for run, chunk in chunks))
            self._connection().execute(self._sql["insert_lines"])

    def _save_tallies(self, changes: Changes) -> None:
        added: dict[Tally, int] = {}
        for tally, runs in changes.tallies.items():
            key = tally._replace(function=name_of(tally.function))
            added[key] = added.get(key, 0) + runs
        # In order, so that the rows are met in the same order by everybody who changes them.
        rows = sorted((*tally, runs) for tally, runs in added.items() if runs)
        if rows:
            names = (*Tally._fields, "runs")
            values = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
            self._connection().execute(self._sql["add_to_tallies"], values)

    def _copy(self, name: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self._connection().cursor() as cursor, cursor.copy(self._sql[name]) as copy:
            for row in rows:
                copy.write_row(row)

    def _execute_each(self, name: str, rows: list[dict[str, Any]]) -> None:
        if rows:
            with self._connection().cursor() as cursor:
                cursor.executemany(self._sql[name], rows)


def _chunk_row(run: int, chunk: LogChunk) -> tuple[object, ...]:
    return (
        run,
        chunk.delivery,
        chunk.first_seq,
        chunk.last_seq,
        chunk.lines.decode(),
        name_of(chunk.function),
        chunk.timestamp_ms,
        chunk.worst,
    )


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise HistoryUnavailable(f"the history database could not be written: {said(error)}") from error


def _migrate(connection: LimitedConnection, place: str) -> None:
    """All steps in one transaction; of two that start at once one waits for the other."""
    sql = {name: prepared(text) for name, text in load_statements("postgres").items()}
    with connection.transaction():
        connection.execute(sql["one_writer"], {"key": _MIGRATE_LOCK})
        connection.execute(sql["create_schema"])
        ((version,),) = connection.execute(sql["schema_version"]).fetchall()
        migrations = load_migrations("postgres")
        if version > migrations[-1].number:
            raise HistoryTooNew(place, version, migrations[-1].number)
        for migration in migrations[version:]:
            for statement in migration.statements:
                connection.execute(statement.encode())
            connection.execute(sql["set_version"], {"version": migration.number})
