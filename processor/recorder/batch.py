from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from processor.core.errors import Undecodable
from processor.core.ledger import Accepted, Ended, LedgerRecord, decode
from processor.core.progress import Progress, decode_progress, is_progress
from processor.core.run import Delivery
from processor.core.topics import LOGS
from processor.recorder.queries import level_number
from processor.transport.abstract import Record

#: No database has more, and nothing of ours has nearly as much.
_INT64 = 2**63
_YEAR_10000_MS = 253_402_300_800_000
_MAX_ID = 400


class LedgerEntry(NamedTuple):
    record: LedgerRecord
    #: The record as the log has it; this is what is stored, so nothing is encoded twice.
    raw: bytes
    timestamp_ms: int


class Said(NamedTuple):
    """How far a run said that it is."""

    progress: Progress
    timestamp_ms: int


class LogChunk(NamedTuple):
    """The lines of one record of `logs`."""

    request_id: str
    function: str
    delivery: str
    timestamp_ms: int
    first_seq: int
    last_seq: int
    #: JSON: [[seq, stream, level|null, unix_ms, text], ...]
    lines: bytes
    #: Of the highest level among them, as `queries.level_number` numbers them.
    worst: int


@dataclass(kw_only=True, slots=True)
class Batch:
    """What a history applies in one transaction, in log order."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    chunks: list[LogChunk] = field(default_factory=list)
    progress: list[Said] = field(default_factory=list)
    #: Records nobody could read; counted, never fatal.
    undecodable: int = 0
    #: Records that were deleted from the log before they were read.
    missed: int = 0


def decode_batch(records: Iterable[Record]) -> Batch:
    batch = Batch()
    for record in records:
        try:
            if record.topic == LOGS.name and is_progress(record.value):
                batch.progress.append(Said(_checked_progress(record.value), record.timestamp_ms))
            elif record.topic == LOGS.name:
                batch.chunks.append(decode_chunk(record))
            else:
                value = record.value or b""
                batch.ledger.append(LedgerEntry(_checked(decode(value)), value, record.timestamp_ms))
        except Undecodable:
            batch.undecodable += 1
    return batch


def _checked(record: LedgerRecord) -> LedgerRecord:
    """What no database could store, or no fold could compute with, must not stop the recorder at every attempt."""
    at_ms = record.accepted_at_ms if isinstance(record, Accepted) else record.started_at_ms
    if not (at_ms is None or _is_time(at_ms)) or (isinstance(record, Ended) and not _is_time(record.ended_at_ms)):
        raise Undecodable("not a ledger record: its times are none")
    if not _is_id(record.request_id) or type(record.function) is not str:
        raise Undecodable("not a ledger record: it names no run or no function")
    return record


def _checked_progress(value: bytes | None) -> Progress:
    progress = decode_progress(value or b"")
    if not (_is_id(progress.request_id) and _is_id(progress.delivery)):
        raise Undecodable("not a record of progress: it names no run")
    try:
        Delivery.parse(progress.delivery)
    except ValueError as error:
        raise Undecodable(f"not a record of progress: {error}") from error
    return progress


def decode_chunk(record: Record) -> LogChunk:
    """Raises Undecodable when the bytes are no record of `logs`."""
    try:
        document = orjson.loads(record.value or b"")
        request_id, delivery, lines = document["request_id"], document["delivery"], document["lines"]
        if not (_is_id(request_id) and _is_id(delivery) and type(document["function"]) is str):
            raise TypeError("request_id, function or delivery is none")
        Delivery.parse(delivery)
        worst = _worst_of(lines)
        return LogChunk(
            request_id,
            document["function"],
            delivery,
            record.timestamp_ms,
            lines[0][0],
            lines[-1][0],
            orjson.dumps(lines),
            worst,
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Undecodable(f"not a record of log lines: {error!r}") from error


def _worst_of(lines: list[Any]) -> int:
    worst = 0
    for seq, stream, level, unix_ms, text in lines:
        if not (_is_whole(seq) and _is_time(unix_ms) and type(text) is str and type(stream) is str):
            raise TypeError("a line is [seq, stream, level, unix_ms, text]")
        if level is not None:
            if type(level) is not str:
                raise TypeError("a level is a string or null")
            worst = max(worst, level_number(level))
    return worst


def _is_whole(value: object) -> bool:
    return type(value) is int and -_INT64 <= value < _INT64


def _is_time(value: object) -> bool:
    return type(value) is int and 0 <= value < _YEAR_10000_MS


def _is_id(value: object) -> bool:
    return type(value) is str and len(value) <= _MAX_ID and "\0" not in value
