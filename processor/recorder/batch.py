from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from processor.core.errors import Undecodable
from processor.core.ledger import LedgerRecord, decode
from processor.core.topics import LOGS
from processor.transport.abstract import Record


class LedgerEntry(NamedTuple):
    record: LedgerRecord
    #: The record as the log has it; this is what is stored, so nothing is encoded twice.
    raw: bytes
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


@dataclass(kw_only=True, slots=True)
class Batch:
    """What a history applies in one transaction, in log order."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    chunks: list[LogChunk] = field(default_factory=list)
    #: Records nobody could read; counted, never fatal.
    undecodable: int = 0
    #: Records that were deleted from the log before they were read.
    missed: int = 0


def decode_batch(records: Iterable[Record]) -> Batch:
    batch = Batch()
    for record in records:
        try:
            if record.topic == LOGS.name:
                batch.chunks.append(decode_chunk(record))
            else:
                value = record.value or b""
                batch.ledger.append(LedgerEntry(decode(value), value, record.timestamp_ms))
        except Undecodable:
            batch.undecodable += 1
    return batch


def decode_chunk(record: Record) -> LogChunk:
    """Raises Undecodable when the bytes are no record of `logs`."""
    try:
        document = orjson.loads(record.value or b"")
        lines = document["lines"]
        _check(lines)
        return LogChunk(
            document["request_id"],
            document["function"],
            document["delivery"],
            record.timestamp_ms,
            lines[0][0],
            lines[-1][0],
            orjson.dumps(lines),
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Undecodable(f"not a record of log lines: {error!r}") from error


def _check(lines: list[Any]) -> None:
    for seq, stream, level, unix_ms, text in lines:
        if not (type(seq) is int and type(unix_ms) is int and type(text) is str and type(stream) is str):
            raise TypeError("a line is [seq, stream, level, unix_ms, text]")
        if level is not None and type(level) is not str:
            raise TypeError("a level is a string or null")
