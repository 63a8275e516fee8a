from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from processor.core.topics import MAX_MESSAGE_BYTES
from processor.transport.abstract import Headers, Outcome, Record, RecordTooLarge
from processor.transport.embedded.partition import PartitionLog
from processor.transport.embedded.transaction import Change, Transaction

#: The same headroom that Kafka's record framing takes, so that a record that fits one transport fits the other.
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - 256
#: A batch takes no more once it has this much: others want to be in the transaction too.
_BATCH_LIMIT_BYTES = 4 * 1024 * 1024


class Entry(NamedTuple):
    partition: PartitionLog
    key: bytes | None
    value: bytes | None
    headers: Headers


class Batch(Change):
    """Appends of one session that become durable together. It stays open for more until the writer takes it.

    allowed: asked before anything is written; returns the reason why not.
    on_end: called in the writer thread with the outcome.
    """

    __slots__ = ("_allowed", "_lock", "_on_end", "_sealed", "entries", "outcome", "reason", "records", "size_bytes")

    def __init__(self, allowed: Callable[[], str], on_end: Callable[[Batch], None]) -> None:
        self._allowed = allowed
        self._on_end = on_end
        self._lock = threading.Lock()
        self._sealed = False
        self.entries: list[Entry] = []
        self.size_bytes = 0
        self.outcome = Outcome.UNKNOWN
        self.reason = ""
        self.records: list[Record] = []

    def add(self, entry: Entry, size_bytes: int) -> bool:
        """False when the writer has taken it, or it is full."""
        with self._lock:
            if self._sealed or self.size_bytes > _BATCH_LIMIT_BYTES:
                return False
            self.entries.append(entry)
            self.size_bytes += size_bytes
            return True

    def seal(self) -> int:
        with self._lock:
            self._sealed = True
        return self.size_bytes

    def write(self, transaction: Transaction) -> None:
        self.reason = self._allowed()
        if not self.reason:
            dropped = next((each.partition for each in self.entries if each.partition.dropped), None)
            if dropped is not None:
                self.reason = f"the topic {dropped.name.topic!r} was deleted"
        if not self.reason:
            self.records = transaction.append(self.entries)

    def applied(self) -> None:
        self.outcome = Outcome.NO if self.reason else Outcome.YES
        self._on_end(self)

    def failed(self, outcome: Outcome, reason: str) -> None:
        self.outcome = outcome
        self.reason = self.reason or reason
        self._on_end(self)


def entry_bytes(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Raises RecordTooLarge."""
    size = len(key or b"") + len(value or b"")
    if headers:
        size += sum(len(name) + len(content) + 4 for name, content in headers)
    if size > MAX_RECORD_BYTES:
        raise RecordTooLarge(f"a record of {topic} weighs {size:,} bytes; the limit is {MAX_RECORD_BYTES:,}")
    return size
