from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import NamedTuple, Self

from processor.transport.abstract import (
    Committed,
    Outcome,
    RebalanceListener,
    Record,
    TopicPartition,
    Transport,
)

#: Longest wait for anything a group does: an eviction (6-10 s) and two rebalances fit.
PATIENCE_SEC = 25.0
CALL_SEC = 10.0
#: One turn of a member that others take turns with.
_TURN_SEC = 0.05


class Step(NamedTuple):
    """One call of a listener, in the order in which all members of a test were called."""

    member: str
    call: str
    partitions: frozenset[TopicPartition]


class Member(RebalanceListener):
    """A group member as the executor is one: it buffers what it polls, drops the buffer of what it gives up, and claims
    by committing.
    """

    def __init__(
        self,
        transport: Transport,
        group: str,
        topics: Collection[str],
        *,
        name: str = "",
        journal: list[Step] | None = None,
        starts: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        self.name = name
        self.journal: list[Step] = [] if journal is None else journal
        self.starts = dict(starts or {})
        self.buffer: list[Record] = []
        self.received: list[Record] = []
        self.committed_on_assign: dict[TopicPartition, Committed | None] = {}
        self.consumer = transport.consumer(group, self)
        self.consumer.subscribe(topics)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.consumer.close()

    def turn(self, max_records: int = 100) -> list[Record]:
        records = self.consumer.poll(max_records, _TURN_SEC)
        self.buffer += records
        self.received += records
        return records

    def owned(self) -> frozenset[TopicPartition]:
        return self.consumer.assignment()

    def commit(self, partition: TopicPartition, offset: int, metadata: str = "") -> Outcome:
        return self.consumer.commit({partition: Committed(offset, metadata)}, CALL_SEC)[partition]

    def committed(self, partition: TopicPartition) -> Committed | None:
        return self.consumer.committed([partition], CALL_SEC)[partition]

    def claim(self) -> list[Record]:
        """Everything buffered whose commit was applied."""
        ends = {TopicPartition(each.topic, each.partition): Committed(each.offset + 1, "") for each in self.buffer}
        outcomes = self.consumer.commit(ends, CALL_SEC) if ends else {}
        claimed = [each for each in self.buffer if outcomes[TopicPartition(each[0], each[1])] is Outcome.YES]
        self.buffer.clear()
        return claimed

    def calls(self) -> list[str]:
        return [each.call for each in self.journal if each.member == self.name]

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._note("assign", partitions)
        self.committed_on_assign.update(self.consumer.committed(partitions, CALL_SEC))
        return {each: self.starts[each] for each in partitions if each in self.starts}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None:
        self._note("revoke", partitions)
        self._drop(partitions)

    def on_lost(self, partitions: Collection[TopicPartition]) -> None:
        self._note("lost", partitions)
        self._drop(partitions)

    def _note(self, call: str, partitions: Iterable[TopicPartition]) -> None:
        self.journal.append(Step(self.name, call, frozenset(partitions)))

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        self.buffer = [each for each in self.buffer if TopicPartition(each.topic, each.partition) not in partitions]


def until(condition: Callable[[], bool], *members: Member) -> None:
    """Lets the members poll in turn until the condition holds."""
    deadline = time.monotonic() + PATIENCE_SEC
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain; calls: {[each.journal for each in members]}"
        for member in members:
            member.turn()
