"""The history: how fast it is written, and how fast it is read with a million runs and ten million lines."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from processor.core.run import Status
from processor.ops.bench import history_records as records
from processor.ops.bench.figures import Figure, percentile
from processor.ops.local_postgres import NoPostgres, local_postgres
from processor.recorder.batch import decode_batch
from processor.recorder.postgres import PostgresHistoryStore
from processor.recorder.service import BATCH_RECORDS
from processor.recorder.sqlite import SqliteHistoryStore
from processor.recorder.store import (
    ActivityQuery,
    FoundPage,
    HistoryStore,
    LineQuery,
    RunQuery,
)
from processor.transport.abstract import Record, TopicPartition

#: Gives the database to measure on instead of one of our own. What it has of Headrace is not touched.
POSTGRES_VARIABLE = "HEADRACE_BENCH_POSTGRES"
DAYS = 3
HOUR_MS = 3_600_000
#: Runs whose records are written for the rate, after the history is full.
MORE_RUNS = 20_000
READS = 200
_FILL_RUNS = 5_000
_PLACE = TopicPartition("runs", 0)


def history(runs: int) -> list[Figure]:
    """runs: how many it has when it is read, with ten lines each."""
    figures: list[Figure] = []
    with _sqlite() as store:
        figures += _on(store, "SQLite", runs)
    try:
        with _postgres() as store:
            figures += _on(store, "PostgreSQL", runs)
    except NoPostgres as why:
        print(f"{why} {why.remedy}", file=sys.stderr)
    return figures


@contextmanager
def _sqlite() -> Iterator[HistoryStore]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteHistoryStore(Path(folder) / "history.db")
        try:
            yield store
        finally:
            store.close()


@contextmanager
def _postgres() -> Iterator[HistoryStore]:
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        store = PostgresHistoryStore(given)
        try:
            yield store
        finally:
            store.close()
        return
    with local_postgres() as server:
        store = PostgresHistoryStore(server.url)
        try:
            yield store
        finally:
            store.close()


def _on(store: HistoryStore, name: str, runs: int) -> list[Figure]:
    store.open_for_writing()
    now_ms = int(time.time() * 1000)
    began = time.perf_counter()
    _fill(store, runs, now_ms)
    print(f"{runs:,} runs on {name} after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    figures = [_recorder(store, name, runs, now_ms)]
    figures += _pages(store, name, runs, now_ms)
    return figures + _searches(store, name, runs, now_ms)


def _fill(store: HistoryStore, runs: int, now_ms: int) -> None:
    for first in range(0, runs, _FILL_RUNS):
        batch: list[Record] = []
        for number in range(first, min(first + _FILL_RUNS, runs)):
            batch += records.whole_run(number, now_ms - (runs - number) * DAYS * 24 * HOUR_MS // runs)
        store.apply(decode_batch(batch), {_PLACE: first})


def _recorder(store: HistoryStore, name: str, runs: int, now_ms: int) -> Figure:
    """Decoding, folding and writing; beside the history that is there already. Reading the topics is not in it."""
    waiting = iter(list(records.interleaved(range(runs, runs + MORE_RUNS), now_ms)))
    written = 0
    began = time.perf_counter()
    while batch := list(islice(waiting, BATCH_RECORDS)):
        store.apply(decode_batch(batch), {_PLACE: written})
        written += len(batch)
    rate = written / (time.perf_counter() - began)
    return Figure(name=f"recorder on {name}", value=rate, unit="records/s", target=20_000, better="higher")


def _pages(store: HistoryStore, name: str, runs: int, now_ms: int) -> list[Figure]:
    chance = random.Random(1)  # noqa: S311  # the same runs each time
    middle = store.list_runs(RunQuery(until_ms=now_ms - 24 * HOUR_MS, limit=1)).cursor
    queries = (
        RunQuery(),
        RunQuery(function=records.FUNCTIONS[7]),
        RunQuery(status=Status.FAILED),
        RunQuery(function=records.FUNCTIONS[0], status=Status.FAILED),
        RunQuery(status_code=430, since_ms=now_ms - 24 * HOUR_MS),
        RunQuery(cursor=middle),
    )

    def run_page() -> None:
        run = records.run_id(chance.randrange(runs))
        assert store.get_run(run)
        assert len(store.get_lines(run).lines) == records.LINES

    def run_list() -> None:
        assert store.list_runs(chance.choice(queries)).runs

    day = ActivityQuery(since_ms=now_ms - 24 * HOUR_MS, until_ms=now_ms, bucket_ms=10 * 60_000)
    size = f"{runs:,} runs, {name}, p95"
    return [
        _p95(f"run page, {size}", run_page, 50),
        _p95(f"run list, {size}", run_list, 50),
        _p95(f"overview of a day, {size}", lambda: store.activity(day), None, reads=20),
    ]


def _searches(store: HistoryStore, name: str, runs: int, now_ms: int) -> list[Figure]:
    size = f"{runs * records.LINES:,} lines, {name}"
    hour = LineQuery(text="of run", since_ms=now_ms - 30 * HOUR_MS, until_ms=now_ms - 29 * HOUR_MS)
    queries = {
        "a text within an hour": hour,
        "errors of a function": LineQuery(function=records.FUNCTIONS[0], level="ERROR"),
        "a text that is everywhere": LineQuery(text="usual length"),
    }
    figures = [
        _p95(f"log search: {what}, {size}, p95", lambda query=query: store.search_lines(query), None, reads=20)  # type: ignore[misc]
        for what, query in queries.items()
    ]
    return figures + _look_through_all(store, size)


def _look_through_all(store: HistoryStore, size: str) -> list[Figure]:
    """A word that is hardly anywhere: every line has to be looked at."""
    query = LineQuery(text=records.RARE_WORD, limit=1_000)
    seconds: list[float] = []
    page: FoundPage | None = None
    while page is None or page.cursor is not None:
        began = time.perf_counter()
        page = store.search_lines(replace(query, cursor=None if page is None else page.cursor))
        seconds.append(time.perf_counter() - began)
    name = f"log search: a rare word, {size}"
    return [
        Figure(name=f"{name}, longest request", value=max(seconds), unit="s", target=2, better="lower"),
        Figure(name=f"{name}, all requests", value=sum(seconds), unit="s", target=None, better="lower"),
    ]


def _p95(name: str, read: Callable[[], object], target: float | None, *, reads: int = READS) -> Figure:
    read()
    waits = []
    for _ in range(reads):
        began = time.perf_counter()
        read()
        waits.append((time.perf_counter() - began) * 1000)
    return Figure(name=name, value=percentile(waits, 0.95), unit="ms", target=target, better="lower")
