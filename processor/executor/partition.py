from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from processor.core.claims import STAMP_HEADER, Stamp, Vector
from processor.core.errors import Undecodable
from processor.core.request_id import is_request_id
from processor.core.run import Delivery, StatusCode
from processor.executor.dedup import Window, WindowPolicy
from processor.transport.abstract import Consumer, Record, TopicPartition

#: A partition whose buffer holds more is paused; half of it resumes. Large enough for two full batches.
BUFFER_RECORDS = 1_024
BUFFER_BYTES = 16_777_216
#: A plan holds at most this many that are not to be started, so that their verdicts hold nobody up.
MAX_UNSTARTED = 256
#: By key and time of acceptance: somebody has cancelled it.
IsCancelled = Callable[[bytes, int], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A record that may be claimed: not a repeat by the vector, nor by the window."""

    record: Record
    stamp: Stamp
    #: It was cancelled or has waited too long: claimed like any other, and ended so without a start.
    unstarted: StatusCode | None = None

    @property
    def request_id(self) -> str:
        return (self.record.key or b"").decode()

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.record.topic, self.record.partition, self.record.offset)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one batch would claim of one partition: a prefix of its buffer, and the state once that is committed."""

    partition: TopicPartition
    taken: tuple[Taken, ...]
    #: How many of them are not to be started.
    unstarted: int
    #: Records of the prefix that the window has to remember, repeats of upstream included.
    remembered: tuple[Record, ...]
    own_repeats: int
    upstream_repeats: int
    undecodable: int
    next_offset: int
    vector: Vector

    @property
    def length(self) -> int:
        return len(self.taken) + self.own_repeats + self.upstream_repeats + self.undecodable


class QueuePartition:
    """An owned queue partition: its unclaimed records, its vector and its window.

    From its assignment until the reading back has reached the committed offset it only rebuilds its window.
    """

    def __init__(
        self,
        partition: TopicPartition,
        function: str,
        *,
        committed: int,
        vector: Vector,
        start: int,
        opened: bool = True,
        policy: WindowPolicy,
    ) -> None:
        self.partition = partition
        #: As deliveries name it.
        self.name = f"{partition.topic}/{partition.partition}"
        self.function = function
        self.committed = committed
        self.vector = vector
        #: False for the first owner ever, until its first commit is certain.
        self.opened = opened
        self.paused = False
        self._read_to = start
        self._buffer: deque[Record] = deque()
        self._buffer_bytes = 0
        self._window = Window(policy)

    @property
    def ready(self) -> bool:
        return self.opened and self._read_to >= self.committed

    @property
    def waiting(self) -> int:
        return len(self._buffer)

    @property
    def full(self) -> bool:
        return len(self._buffer) >= BUFFER_RECORDS or self._buffer_bytes >= BUFFER_BYTES

    @property
    def has_room(self) -> bool:
        return len(self._buffer) <= BUFFER_RECORDS // 2 and self._buffer_bytes <= BUFFER_BYTES // 2

    def offer(self, record: Record) -> None:
        """The next record as polled; one that was seen already (after a resume) changes nothing."""
        if record.offset < self._read_to:
            return
        self._read_to = record.offset + 1
        if record.offset < self.committed:
            self._read_back(record)
        else:
            self._buffer.append(record)
            self._buffer_bytes += len(record.value or b"")

    def plan(self, limit: int, oldest_ms: int = 0, is_cancelled: IsCancelled | None = None) -> Plan | None:
        """The longest prefix of the buffer with at most `limit` claims; None when there is nothing to move past.

        What was accepted before oldest_ms, or is cancelled, is taken beyond the limit, to be ended without a start.
        """
        vector = self.vector.copy()
        taken: list[Taken] = []
        remembered: list[Record] = []
        keys: set[bytes] = set()
        own = upstream = undecodable = unstarted = 0
        for record in self._buffer:
            stamp = stamp_of(record)
            key = record.key or b""
            if stamp is None:
                undecodable += 1
            elif not vector.takes(stamp):
                own += 1
            elif key in self._window or key in keys:
                upstream += 1
                vector.take(stamp)
                remembered.append(record)
            else:
                end = None
                if is_cancelled is not None and is_cancelled(key, stamp.accepted_at_ms):
                    end = StatusCode.CANCELLED
                elif stamp.accepted_at_ms < oldest_ms:
                    end = StatusCode.EXPIRED
                if unstarted == MAX_UNSTARTED if end else len(taken) - unstarted == limit:
                    break
                taken.append(Taken(record=record, stamp=stamp, unstarted=end))
                unstarted += end is not None
                vector.take(stamp)
                remembered.append(record)
                keys.add(key)
        length = len(taken) + own + upstream + undecodable
        if not length:
            return None
        return Plan(
            partition=self.partition,
            taken=tuple(taken),
            unstarted=unstarted,
            remembered=tuple(remembered),
            own_repeats=own,
            upstream_repeats=upstream,
            undecodable=undecodable,
            next_offset=self._buffer[length - 1].offset + 1,
            vector=vector,
        )

    def unmoved(self) -> Plan:
        """The plan of no record: its commit says again what the last one said."""
        return Plan(
            partition=self.partition,
            taken=(),
            unstarted=0,
            remembered=(),
            own_repeats=0,
            upstream_repeats=0,
            undecodable=0,
            next_offset=self.committed,
            vector=self.vector,
        )

    def apply(self, plan: Plan) -> None:
        """The plan's commit is ours."""
        for _ in range(plan.length):
            self._buffer_bytes -= len(self._buffer.popleft().value or b"")
        for record in plan.remembered:
            self._window.add(record.key or b"", record.offset, record.timestamp_ms)
        self.vector = plan.vector
        self.committed = plan.next_offset

    def _read_back(self, record: Record) -> None:
        """What was dropped for a hole before it was never taken: it must not hide the copy that comes later."""
        stamp = stamp_of(record)
        if stamp is not None and self.vector.has_passed(stamp):
            self._window.add(record.key or b"", record.offset, record.timestamp_ms)


def pause_and_resume(consumer: Consumer, owned: Collection[QueuePartition]) -> None:
    """A full buffer pauses its partition."""
    full = [each for each in owned if each.full and not each.paused]
    room = [each for each in owned if each.paused and each.has_room]
    if full:
        consumer.pause([each.partition for each in full])
    if room:
        consumer.resume([each.partition for each in room])
    for each in full + room:
        each.paused = not each.paused


def stamp_of(record: Record) -> Stamp | None:
    """None: not written by a dispatcher; such a record is passed over and counted."""
    if not is_request_id((record.key or b"").decode("ascii", "replace")):
        return None
    for name, value in record.headers:
        if name == STAMP_HEADER:
            try:
                return Stamp.decode(value)
            except Undecodable:
                return None
    return None
