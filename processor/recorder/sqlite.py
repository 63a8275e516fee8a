from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from processor.core.run import Status
from processor.recorder.batch import Batch, LogChunk
from processor.recorder.connections import Readers, open_writer, transaction
from processor.recorder.document import RunDocument
from processor.recorder.fold import DeliveryFold, RunFold, run_document
from processor.recorder.statements import load_migrations, load_statements, read_sql
from processor.recorder.store import (
    MAX_PAGE,
    MAX_POSITION,
    HistoryStore,
    HistoryTooNew,
    HistoryUnavailable,
    LinePage,
    LogLine,
    Place,
    RunPage,
    RunQuery,
)
from processor.transport.abstract import TopicPartition

#: No retention may be shorter: a run may last a day, and people look at it the day after.
MIN_DAYS = 3
#: Rows of one delete: 5,000 hold the write lock for some ten milliseconds.
_DELETE_ROWS = 5_000
_COUNTERS = ("void_verdicts", "undecodable", "missed")


class SqliteHistoryStore(HistoryStore):
    """The history in one SQLite file in WAL mode: one writing connection, any number of readers, also of other
    processes. Space of deleted days is used again; the file itself does not shrink.
    """

    def __init__(self, path: Path, *, log_days: int = 7, run_days: int = 30) -> None:
        if min(log_days, run_days) < MIN_DAYS:
            raise ValueError(f"history is kept for at least {MIN_DAYS} days")
        self._path = path
        self._log_days = log_days
        self._run_days = run_days
        self._sql = load_statements()
        self._readers = Readers(path)
        self._writer: sqlite3.Connection | None = None
        #: Day tables that are known to be there.
        self._log_tables: set[str] = set()
        self._last_row = 0

    # ------------------------------------------------------------------------------------------------- reading

    def get_run(self, request_id: str) -> RunDocument | None:
        with self._readers.lend() as connection:
            row = connection.execute(self._sql["get_run"], (request_id,)).fetchone()
        return None if row is None else run_document(dict(row))

    def position(self, request_id: str) -> int | None:
        with self._readers.lend() as connection:
            values = {"request_id": request_id, "limit": MAX_POSITION}
            row = connection.execute(self._sql["position"], values).fetchone()
        return None if row is None or row["earlier"] == MAX_POSITION else row["earlier"] + 1

    def list_runs(self, query: RunQuery) -> RunPage:
        conditions, values = _conditions(query)
        statement = self._sql["list_runs"].format(conditions=conditions)
        with self._readers.lend() as connection:
            rows = connection.execute(statement, (*values, query.limit + 1)).fetchall()
        page = rows[: query.limit]
        more = len(rows) > query.limit
        return RunPage(
            runs=[_without_result(run_document(dict(row))) for row in page],
            cursor=Place(page[-1]["first_seen_ms"], page[-1]["id"]).cursor() if more else None,
        )

    def get_lines(
        self, request_id: str, *, delivery: str | None = None, after_seq: int = 0, limit: int = MAX_PAGE
    ) -> LinePage:
        with self._readers.lend() as connection:
            run = connection.execute(self._sql["get_run"], (request_id,)).fetchone()
            name = delivery if run is None or delivery is not None else run["delivery"]
            if run is None or name is None:
                return LinePage(name, [])
            return LinePage(name, self._read_lines(connection, run["id"], name, after_seq, limit))

    def _read_lines(
        self, connection: sqlite3.Connection, run: int, delivery: str, after_seq: int, limit: int
    ) -> list[LogLine]:
        found: list[LogLine] = []
        values = {"run": run, "delivery": delivery, "after": after_seq}
        for (table,) in connection.execute(self._sql["log_tables"]).fetchall():
            with contextlib.closing(connection.execute(self._sql["get_lines"].format(table=table), values)) as chunks:
                for (lines,) in chunks:
                    last = found[-1].seq if found else after_seq
                    found.extend(LogLine(*line) for line in orjson.loads(lines) if line[0] > last)
                    if len(found) >= limit:
                        return found[:limit]
        return found

    def object_events(self, function: str, source: str, subjects: Collection[str]) -> Mapping[str, Collection[str]]:
        values = {"function": function, "source": source, "subjects": orjson.dumps(list(subjects)).decode()}
        found: dict[str, list[str]] = {}
        with self._readers.lend() as connection:
            for subject, event_id in connection.execute(self._sql["object_events"], values):
                found.setdefault(subject, []).append(event_id)
        return found

    def recorded(self) -> Mapping[TopicPartition, int]:
        with self._readers.lend() as connection:
            rows = connection.execute(self._sql["offsets"]).fetchall()
        return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    def counters(self) -> Mapping[str, int]:
        with self._readers.lend() as connection:
            found = dict(connection.execute(self._sql["counters"]).fetchall())
        return {name: found.get(name, 0) for name in _COUNTERS}

    def run_counts(self) -> Mapping[tuple[str, str], int]:
        with self._readers.lend() as connection:
            rows = connection.execute(self._sql["run_counts"]).fetchall()
        return {(function, status): count for function, status, count in rows}

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
                (self._last_row,) = connection.execute(self._sql["last_row"]).fetchone()
                runs = self._load(batch)
                self._apply_ledger(batch, runs)
                self._insert_chunks(batch.chunks, runs)
                self._save(runs.values())
                self._count(batch, runs.values())
                rows = [(*partition, offset) for partition, offset in offsets.items()]
                connection.executemany(self._sql["set_offset"], rows)
        except BaseException:
            self._log_tables.clear()  # one that was made in the transaction is gone again
            raise

    def expire(self, now_ms: int) -> bool:
        midnight = datetime.fromtimestamp(now_ms / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        before_ms = int((midnight - timedelta(days=self._run_days)).timestamp() * 1000)
        oldest = _log_table(int((midnight - timedelta(days=self._log_days)).timestamp() * 1000))
        connection = self._connection()
        with _writing(), transaction(connection):
            for (table,) in connection.execute(self._sql["log_tables"]).fetchall():
                if table < oldest:
                    connection.execute(f"DROP TABLE {table}")
                    self._log_tables.discard(table)
            values = {"before": before_ms, "limit": _DELETE_ROWS}
            deleted = connection.execute(self._sql["expire_runs"], values).rowcount
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
        ids = {entry.record.request_id for entry in batch.ledger} | {chunk.request_id for chunk in batch.chunks}
        rows = self._connection().execute(self._sql["load_runs"], (orjson.dumps(list(ids)).decode(),))
        return {row[1]: _restored(row) for row in rows}

    def _apply_ledger(self, batch: Batch, runs: dict[str, RunFold]) -> None:
        for record, raw, timestamp_ms in batch.ledger:
            run = runs.get(record.request_id)
            if run is None:
                run = self._new_run(runs, record.request_id, record.function, timestamp_ms)
            run.apply(record, raw)

    def _insert_chunks(self, chunks: Iterable[LogChunk], runs: dict[str, RunFold]) -> None:
        days: dict[int, list[tuple[int, str, int, int, str]]] = {}
        for chunk in chunks:
            run = runs.get(chunk.request_id)
            if run is None:
                run = self._new_run(runs, chunk.request_id, chunk.function, chunk.timestamp_ms)
            run.meet(chunk.delivery)
            row = (run.row, chunk.delivery, chunk.first_seq, chunk.last_seq, chunk.lines.decode())
            days.setdefault(chunk.timestamp_ms // 86_400_000, []).append(row)
        for day, rows in days.items():
            table = self._ready_table(_log_table(day * 86_400_000))
            self._connection().executemany(self._sql["insert_chunk"].format(table=table), rows)

    def _new_run(self, runs: dict[str, RunFold], request_id: str, function: str, first_seen_ms: int) -> RunFold:
        self._last_row += 1
        run = RunFold(row=self._last_row, request_id=request_id, function=function, first_seen_ms=first_seen_ms)
        runs[request_id] = run
        return run

    def _ready_table(self, table: str) -> str:
        if table not in self._log_tables:
            for statement in read_sql("log_day.sql").format(table=table).split(";"):
                self._connection().execute(statement)
            self._log_tables.add(table)
        return table

    def _save(self, runs: Iterable[RunFold]) -> None:
        self._connection().executemany(self._sql["upsert_run"], [_row(run) for run in runs if run.changed])

    def _count(self, batch: Batch, runs: Iterable[RunFold]) -> None:
        void = sum(run.void for run in runs)
        counts = {"void_verdicts": void, "undecodable": batch.undecodable, "missed": batch.missed}
        self._connection().executemany(self._sql["add_to_counter"], [each for each in counts.items() if each[1]])


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise HistoryUnavailable(f"the history database could not be written: {error}") from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    migrations = load_migrations()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > migrations[-1][0]:
        raise HistoryTooNew(f"{path} has schema {version}; this version of Headrace knows {migrations[-1][0]}")
    for number, script in migrations:
        if number > version:
            # executescript ends a transaction that is open when it begins, so the script brings its own.
            connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def _log_table(unix_ms: int) -> str:
    return f"logs_{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y%m%d}"


def _restored(
    row: tuple[int, str, str, int, str | None, str | None, str | None, str | None, int, str | None],
) -> RunFold:
    number, request_id, function, first_seen_ms, delivery, accepted, started, verdict, void, older = row
    run = RunFold(row=number, request_id=request_id, function=function, first_seen_ms=first_seen_ms)
    shown = None if delivery is None else DeliveryFold(delivery, started, verdict, void)
    run.restore(accepted, shown, older)
    return run


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
    )


def _conditions(query: RunQuery) -> tuple[str, list[object]]:
    conditions, values = ["TRUE"], list[object]()
    if query.function is not None:
        conditions.append("function = ?")
        values.append(query.function)
    if query.status is not None:
        conditions.append("status = ?")
        values.append(query.status.value)
        if query.status is not Status.FINISHED:
            conditions.append("status <> 'FINISHED'")  # word for word the condition of the partial index
    if query.since_ms is not None:
        conditions.append("first_seen_ms >= ?")
        values.append(query.since_ms)
    if query.cursor is not None:
        place = Place.parse(query.cursor)
        conditions.append("(first_seen_ms, id) < (?, ?)")
        values.extend(place)
    return " AND ".join(conditions), values


def _without_result(document: RunDocument) -> RunDocument:
    del document["result"]
    return document
