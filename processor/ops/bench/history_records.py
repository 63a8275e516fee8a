"""What a recorder would read of many runs: `accepted`, `started`, two pieces of five log lines, `ended`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from processor.core.ledger import Accepted, Ended, Position, Started, encode
from processor.core.request_id import request_id
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import LOGS, RUNS
from processor.transport.abstract import Record

FUNCTIONS = tuple(f"function-{number:02}" for number in range(20))
LINES = 10
#: One run in so many fails, with a line that says so.
FAILS = 50
#: One run in so many says a word that no other says.
RARE = 100_000
RARE_WORD = "needle"
#: Runs under way at a time: so the records of one run come in several batches.
_UNDER_WAY = 500


def function_of(number: int) -> str:
    return FUNCTIONS[number % len(FUNCTIONS)]


def run_id(number: int) -> str:
    return request_id(function_of(number), "bench", str(number))


def whole_run(number: int, at_ms: int) -> list[Record]:
    """As few records as a run can have: for filling a history."""
    return [_accepted(number, at_ms), _lines(number, at_ms, 1, LINES), _ended(number, at_ms)]


def interleaved(numbers: Sequence[int], at_ms: int) -> Iterator[Record]:
    """As an installation writes them, many runs at a time."""
    steps = [_run(number, at_ms) for number in numbers]
    for number in range(len(steps) + 5 * _UNDER_WAY):
        for step in range(5):
            if 0 <= number - step * _UNDER_WAY < len(steps):
                yield steps[number - step * _UNDER_WAY][step]


def _run(number: int, at_ms: int) -> list[Record]:
    started = Started(
        request_id=run_id(number),
        function=function_of(number),
        delivery=_delivery(number),
        executor="e#1",
        started_at_ms=at_ms + 3,
    )
    half = LINES // 2
    return [
        _accepted(number, at_ms),
        _record(RUNS.name, number, at_ms, encode(started)),
        _lines(number, at_ms, 1, half),
        _lines(number, at_ms, half + 1, LINES),
        _ended(number, at_ms),
    ]


def _accepted(number: int, at_ms: int) -> Record:
    accepted = Accepted(
        request_id=run_id(number),
        function=function_of(number),
        version="v1",
        trigger="http",
        source=f"headrace:http/{function_of(number)}",
        event_id=str(number),
        subject=None,
        accepted_at_ms=at_ms,
        intake=Position(number % 4, 0, number),
    )
    return _record(RUNS.name, number, at_ms, encode(accepted))


def _ended(number: int, at_ms: int) -> Record:
    failed = number % FAILS == 0
    ended = Ended(
        request_id=run_id(number),
        function=function_of(number),
        delivery=_delivery(number),
        status_code=StatusCode.HANDLER_RAISED if failed else StatusCode.OK,
        error=RunError(type="ValueError", message="no such image", stack="Traceback: ...") if failed else None,
        result=None if failed else b'{"ok":true}',
        executor="e#1",
        instance=f"{function_of(number)}-1",
        started_at_ms=at_ms + 3,
        ended_at_ms=at_ms + 12,
        duration_ms=9.0,
        memory_mb=40.0,
        log_lines=LINES,
    )
    return _record(RUNS.name, number, at_ms, encode(ended))


def _lines(number: int, at_ms: int, first: int, last: int) -> Record:
    lines: list[list[object]] = [
        [seq, "stdout", None, at_ms, f"step {seq} of run {number}: a line of a usual length"]
        for seq in range(first, last + 1)
    ]
    if number % FAILS == 0:
        lines[-1][1:3] = ["log", "ERROR"]
    if number % RARE == RARE // 2:
        lines[-1][4] = f"a {RARE_WORD} in run {number}"
    document = {
        "request_id": run_id(number),
        "function": function_of(number),
        "delivery": str(_delivery(number)),
        "lines": lines,
    }
    return _record(LOGS.name, number, at_ms, orjson.dumps(document))


def _delivery(number: int) -> Delivery:
    return Delivery(f"queue.{function_of(number)}.1", number % 4, number)


def _record(topic: str, number: int, at_ms: int, value: bytes) -> Record:
    return Record(topic, number % 4, number, 0, at_ms, run_id(number).encode(), value, ())
