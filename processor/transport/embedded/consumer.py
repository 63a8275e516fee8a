from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from processor.transport.abstract import (
    Bounds,
    Committed,
    Consumer,
    Outcome,
    RebalanceListener,
    Record,
    TopicPartition,
    TransportError,
)
from processor.transport.embedded.bell import ThreadBell
from processor.transport.embedded.cursor import Cursor
from processor.transport.embedded.groups import Coordinator, Member
from processor.transport.embedded.offsets import Offsets
from processor.transport.embedded.store import LogStore

#: For the committed offsets that a listener leaves to us when partitions are assigned.
_LOOK_UP_SEC = 5.0


class EmbeddedConsumer(Consumer):
    def __init__(
        self, store: LogStore, coordinator: Coordinator, offsets: Offsets, group: str, listener: RebalanceListener
    ) -> None:
        self._store = store
        self._coordinator = coordinator
        self._offsets = offsets
        self._group = group
        self._listener = listener
        self._bell = ThreadBell()
        self._cursor = Cursor(store, self._bell)
        self._topics: frozenset[str] = frozenset()
        self._member: Member | None = None
        self._closed = False

    def subscribe(self, topics: Collection[str]) -> None:
        self._topics = frozenset(topics)

    def poll(self, max_records: int, timeout_sec: float) -> list[Record]:
        if self._closed:
            raise TransportError("the consumer is closed")
        deadline = time.monotonic() + timeout_sec  # real time, whatever the Clock says: poll must return
        try:
            while True:
                self._bell.clear()
                self._tend()
                records = self._cursor.fetch(max_records)
                rest_sec = deadline - time.monotonic()
                if records or rest_sec <= 0:
                    return records
                self._bell.wait(self._patience_sec(rest_sec))
        finally:
            if self._member is not None:
                self._coordinator.end_call(self._member)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._member.owned) if self._member is not None else frozenset()

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._cursor.pause(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._cursor.resume(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._cursor.seek(partition, offset)

    def commit(
        self, offsets: Mapping[TopicPartition, Committed], timeout_sec: float
    ) -> Mapping[TopicPartition, Outcome]:
        with self._coordinator.lock:
            if not self._coordinator.admits(self._group, self._member):
                return dict.fromkeys(offsets, Outcome.NO)
            pending = self._offsets.submit(self._group, offsets)
        return pending.wait(offsets.keys(), timeout_sec)

    def committed(
        self, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Committed | None]:
        return self._offsets.committed(self._group, partitions, timeout_sec)

    def bounds(self, partitions: Collection[TopicPartition], timeout_sec: float) -> Mapping[TopicPartition, Bounds]:
        return self._store.bounds(partitions)

    def offsets_at(
        self, partitions: Collection[TopicPartition], unix_ms: int, timeout_sec: float
    ) -> Mapping[TopicPartition, int]:
        return {each: self._store.offset_at(self._store.find(each), unix_ms) for each in partitions}

    def leave(self) -> None:
        self._topics = frozenset()
        member = self._member
        if member is None:
            return
        if self._coordinator.begin_call(member):
            self._give_up(member.owned, self._listener.on_revoke)
            self._coordinator.leave(member)
        else:
            self._give_up(member.owned, self._listener.on_lost)
        self._member = None

    def close(self) -> None:
        self.leave()
        self._closed = True

    def _tend(self) -> None:
        """One heartbeat: eviction noticed, subscription told, partitions given up and taken."""
        if self._member is not None and not self._coordinator.begin_call(self._member):
            lost = self._member.owned
            self._member = None
            self._give_up(lost, self._listener.on_lost)
        if not self._topics:
            self.leave()
            return
        if self._member is None:
            self._member = self._coordinator.join(self._group, self._topics, self._bell)
        elif self._member.topics != self._topics:
            self._coordinator.subscribe(self._member, self._topics)
        self._exchange(self._member)

    def _exchange(self, member: Member) -> None:
        gone = self._coordinator.to_revoke(member)
        if gone:
            self._give_up(gone, self._listener.on_revoke)
            self._coordinator.release(member, gone)
        fresh = self._coordinator.take(member)
        if fresh:
            self._cursor.follow(self._starts(fresh, self._listener.on_assign(fresh)))

    def _give_up(
        self, partitions: Collection[TopicPartition], tell: Callable[[Collection[TopicPartition]], None]
    ) -> None:
        if partitions:
            tell(frozenset(partitions))
            self._cursor.drop(partitions)

    def _starts(
        self, partitions: Collection[TopicPartition], chosen: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        rest = [each for each in partitions if each not in chosen]
        starts = {each: chosen[each] for each in partitions if each in chosen}
        if rest:
            bounds = self._store.bounds(rest)
            for each, known in self._offsets.committed(self._group, rest, _LOOK_UP_SEC).items():
                starts[each] = bounds[each].low if known is None else known.offset
        return starts

    def _patience_sec(self, rest_sec: float) -> float:
        """Until there is something to do at the latest: the next member that stays away is evicted by us."""
        return min(rest_sec, self._coordinator.expiry_sec(self._member)) if self._member is not None else rest_sec
