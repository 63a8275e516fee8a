"""What a recorder reads, for tests of the history: runs numbered from 1, on one day."""

from __future__ import annotations

import orjson

from processor.core.ledger import Accepted, Ended, LedgerRecord, Position, Started, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import LOGS, RUNS
from processor.recorder.batch import Batch, decode_batch
from processor.recorder.store import HistoryStore, RunQuery
from processor.transport.abstract import Record, TopicPartition

DAY_MS = 86_400_000
#: 2026-11-24 00:00:00 UTC
TODAY_MS = 1_795_478_400_000
AT = {TopicPartition("runs", 0): 1}


def rid(number: int) -> str:
    return request_id("resize", "test", str(number))


def delivery(number: int) -> Delivery:
    return Delivery("queue.resize.1", 0, number)


def accepted(
    number: int,
    *,
    function: str = "resize",
    at_ms: int | None = None,
    trigger: str = "http",
    source: str = "test",
    subject: str | None = None,
) -> Accepted:
    return Accepted(
        request_id=rid(number),
        function=function,
        version="v1",
        trigger=trigger,
        source=source,
        event_id=str(number),
        subject=subject,
        accepted_at_ms=TODAY_MS + number if at_ms is None else at_ms,
        intake=Position(0, 0, number),
    )


def started(number: int, *, at_ms: int = TODAY_MS, function: str = "resize") -> Started:
    return Started(
        request_id=rid(number), function=function, delivery=delivery(number), executor="e#1", started_at_ms=at_ms
    )


def ended(
    number: int,
    code: StatusCode = StatusCode.OK,
    *,
    at_ms: int = TODAY_MS,
    result: bytes = b"1",
    error: RunError | None = None,
) -> Ended:
    return Ended(
        request_id=rid(number),
        function="resize",
        delivery=delivery(number),
        status_code=code,
        error=error,
        result=result,
        ended_at_ms=at_ms,
    )


def lines(number: int, first: int, last: int, *, at_ms: int = TODAY_MS) -> Record:
    return told(number, [[seq, "stdout", None, at_ms, f"line {seq}"] for seq in range(first, last + 1)], at_ms=at_ms)


def told(number: int, entries: list[list[object]], *, at_ms: int = TODAY_MS, function: str = "resize") -> Record:
    document = {"request_id": rid(number), "function": function, "delivery": str(delivery(number)), "lines": entries}
    return Record(LOGS.name, 0, 0, 0, at_ms, rid(number).encode(), orjson.dumps(document), ())


def batch(*records: LedgerRecord | Record) -> Batch:
    return decode_batch(
        each
        if isinstance(each, Record)
        else Record(RUNS.name, 0, 0, 0, TODAY_MS, each.request_id.encode(), encode(each), ())
        for each in records
    )


def ids(store: HistoryStore, query: RunQuery) -> list[str]:
    return [each["request_id"] for each in store.list_runs(query).runs]
