"""How many records per second the recorder applies: python -m tests.benchmarks.recorder [RUNS]

Each run has `accepted`, `started`, two log records of five lines and `ended`; 500 runs are under way at a time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import orjson

from processor.core.ledger import Accepted, Ended, Position, Started, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, StatusCode
from processor.core.topics import LOGS, RUNS
from processor.recorder.batch import decode_batch
from processor.recorder.service import BATCH_RECORDS
from processor.recorder.sqlite import SqliteHistoryStore
from processor.transport.abstract import Record, TopicPartition

UNDER_WAY = 500
NOW_MS = 1_790_000_000_000


def run_records(number: int) -> list[Record]:
    run = request_id("thumbnail", "bench", str(number))
    delivery = Delivery("queue.thumbnail.1", 0, number)
    accepted = Accepted(
        request_id=run,
        function="thumbnail",
        version="v1",
        trigger="http",
        source="headrace:http/thumbnail",
        event_id=str(number),
        subject=None,
        accepted_at_ms=NOW_MS + number,
        intake=Position(0, 0, number),
    )
    started = Started(
        request_id=run, function="thumbnail", delivery=delivery, executor="e#1", started_at_ms=NOW_MS + number
    )
    ended = Ended(
        request_id=run,
        function="thumbnail",
        delivery=delivery,
        status_code=StatusCode.OK,
        result=b'{"ok":true}',
        executor="e#1",
        instance="thumbnail-1",
        started_at_ms=NOW_MS + number,
        ended_at_ms=NOW_MS + number + 9,
        duration_ms=9.0,
        memory_mb=40.0,
        log_lines=10,
    )
    ledger = [_record(RUNS.name, run, encode(each)) for each in (accepted, started, ended)]
    logs = [_record(LOGS.name, run, _lines(run, str(delivery), first)) for first in (1, 6)]
    return [*ledger[:2], *logs, ledger[2]]


def _lines(run: str, delivery: str, first: int) -> bytes:
    lines = [[first + n, "stdout", None, NOW_MS, "a line of a function's log, of a usual length"] for n in range(5)]
    return orjson.dumps({"request_id": run, "function": "thumbnail", "delivery": delivery, "lines": lines})


def _record(topic: str, run: str, value: bytes) -> Record:
    return Record(topic, 0, 0, 0, NOW_MS, run.encode(), value, ())


def interleaved(runs: int) -> list[Record]:
    steps = [run_records(number) for number in range(runs)]
    width = len(steps[0])
    return [
        steps[number - step * UNDER_WAY][step]
        for number in range(runs + width * UNDER_WAY)
        for step in range(width)
        if 0 <= number - step * UNDER_WAY < runs
    ]


def main(runs: int) -> None:
    records = interleaved(runs)
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteHistoryStore(Path(folder) / "history.db")
        store.open_for_writing()
        began = time.perf_counter()
        for start in range(0, len(records), BATCH_RECORDS):
            batch = decode_batch(records[start : start + BATCH_RECORDS])
            store.apply(batch, {TopicPartition(RUNS.name, 0): start})
        took = time.perf_counter() - began
        size = sum(each.stat().st_size for each in Path(folder).iterdir())
        store.close()
    rate = len(records) / took
    sys.stdout.write(f"{len(records):,} records in {took:.2f} s: {rate:,.0f}/s, {size / runs:,.0f} B/run\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
