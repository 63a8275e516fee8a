from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from processor.core.claims import Stamp, Vector
from processor.executor.claims import Claims
from processor.executor.partition import Plan, QueuePartition, Taken
from processor.transport.abstract import Committed, Consumer, Outcome, Record, TopicPartition
from tests.planted.patching import replace


class _CommitsLater:
    """A consumer whose claims are answered at once, and committed before its next poll."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._owed: dict[TopicPartition, Committed] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def commit(
        self, offsets: Mapping[TopicPartition, Committed], timeout_sec: float
    ) -> Mapping[TopicPartition, Outcome]:
        if not all(each.offset for each in offsets.values()):
            return self._consumer.commit(offsets, timeout_sec)  # the first owner's
        self._owed.update(offsets)
        return dict.fromkeys(offsets, Outcome.YES)

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        if self._owed:
            self._consumer.commit(self._owed, timeout_sec=5.0)
            self._owed = {}
        return self._consumer.poll(max_records, timeout_sec)


def commit_after_start() -> None:
    as_made = Claims.__init__

    def made(self: Claims, **arguments: Any) -> None:
        as_made(self, **arguments)
        self._consumer = _CommitsLater(self._consumer)  # type: ignore[assignment]  # stands for one

    replace(Claims, "__init__", made)


def commit_not_checked() -> None:
    conclude = Claims._conclude

    def concluded(self: Claims, plan: Plan, written: str, outcome: Outcome) -> list[Taken]:
        return conclude(self, plan, written, Outcome.YES)

    replace(Claims, "_conclude", concluded)


def buffers_kept_over_a_revoke() -> None:
    replace(Claims, "on_revoke", _nothing_dropped)


def _nothing_dropped(self: Claims, partitions: Collection[TopicPartition]) -> None: ...


def vector_not_carried() -> None:
    known = Claims._known

    def forgotten(self: Claims, partition: TopicPartition, committed: Committed | None) -> tuple[int, Vector] | None:
        found = known(self, partition, committed)
        return None if found is None else (found[0], Vector())

    replace(Claims, "_known", forgotten)


def previous_offset_ignored() -> None:
    takes = Vector.takes

    def taken(self: Vector, stamp: Stamp) -> bool:
        return takes(self, stamp._replace(previous=None))

    replace(Vector, "takes", taken)


def window_not_rebuilt() -> None:
    replace(QueuePartition, "_read_back", _forgotten)


def _forgotten(self: QueuePartition, record: Record) -> None: ...
