from __future__ import annotations

from typing import TYPE_CHECKING

from processor.transport.abstract import Record, TopicPartition

if TYPE_CHECKING:
    from processor.transport.embedded.cursor import Cursor

OFFSET_BITS = 44


class PartitionLog:
    """What is known of a partition without asking the file. Guarded by its LogStore's lock, but for `name` and `base`.

    recent: the last records, without a gap up to `high`, so that readers who follow never touch the file.
    """

    __slots__ = ("base", "compacted_to", "dropped", "followers", "high", "last_ms", "low", "name", "recent", "skipped")

    def __init__(self, name: TopicPartition, identity: int, low: int, high: int, last_ms: int) -> None:
        self.name = name
        #: record.id of offset 0.
        self.base = identity << OFFSET_BITS
        self.low = low
        self.high = high
        #: Times never run backwards in a partition, or looking one up by halves would not find it.
        self.last_ms = last_ms
        self.recent: list[Record] = []
        #: How many at the head of `recent` are forgotten already; cut off in bulk.
        self.skipped = 0
        self.followers: set[Cursor] = set()
        self.dropped = False
        self.compacted_to = low

    @property
    def identity(self) -> int:
        return self.base >> OFFSET_BITS

    def recent_from(self, offset: int, limit: int) -> list[Record] | None:
        """None when the file must be asked."""
        recent = self.recent
        at = offset - (self.high - len(recent))
        return recent[at : at + limit] if at >= self.skipped else None

    def extend(self, records: list[Record]) -> None:
        self.recent += records
        last = records[-1]
        self.high = last.offset + 1
        self.last_ms = last.timestamp_ms
        for follower in self.followers:
            follower.has_more(self)

    def forget_oldest(self) -> int:
        """Returns the bytes this frees."""
        record = self.recent[self.skipped]
        self.skipped += 1
        if self.skipped * 2 > len(self.recent):
            del self.recent[: self.skipped]
            self.skipped = 0
        return weight(record)


def weight(record: Record) -> int:
    """Roughly what a record takes in memory."""
    return 300 + len(record.value or b"") + len(record.key or b"")
